"""Pairs of texts with a similarity score, and the run on them."""
