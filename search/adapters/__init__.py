"""Search inside other frameworks, one module each. Each module needs its own extra."""
