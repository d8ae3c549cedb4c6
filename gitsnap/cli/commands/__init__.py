"""The commands of gitsnap, one module each, named after the command."""
