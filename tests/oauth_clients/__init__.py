"""OAuth libraries that never heard of Gatebook, each used as its own documentation says."""
