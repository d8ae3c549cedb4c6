"""The lowest package, which every other package may import: errors, values, ports, text and private files."""
