"""Canonical YAML, as the archive stores it, and the readers of YAML from elsewhere."""
