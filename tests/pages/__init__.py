"""Pages, as people meet them: in a browser that runs, and byte for byte where that is needed."""
