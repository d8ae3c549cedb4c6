"""Questions to an archive: find a sample, read the change log, follow references, reveal hidden values."""
