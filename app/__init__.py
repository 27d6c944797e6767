"""Composition, and everything that touches the world: HTTP, command line, clocks, keys, files."""
