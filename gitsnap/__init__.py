"""gitsnap: a Git-backed, versioned configuration archiver for Sveltos management clusters."""

__version__ = "0.1.0"
