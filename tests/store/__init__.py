"""One contract of the write path, kept on each kind of store."""
