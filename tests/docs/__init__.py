"""The documentation: made from the source where it can be, and tried out."""
