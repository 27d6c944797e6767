"""Ways into other libraries; each is imported by name, and needs its library alone."""
