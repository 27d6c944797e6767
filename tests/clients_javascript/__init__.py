"""The JavaScript client: its own tests, run on Node, and what it is as a package."""
