"""Runs the git program and signs tags."""
