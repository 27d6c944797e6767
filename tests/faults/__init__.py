"""Properties that need real processes, each in its short form."""
