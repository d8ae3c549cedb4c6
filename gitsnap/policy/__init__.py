"""The snapshot policy: the Snapshot resource, its schedule, its further kinds, and retention."""
