"""The search inside other frameworks, one module each. Every module needs its own extra."""
