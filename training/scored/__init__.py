"""Pairs of texts with a score of likeness, and the run on them."""
