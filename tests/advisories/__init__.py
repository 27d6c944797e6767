"""Bugs that others shipped, one file each: what they did, and that it doesn't happen here."""
