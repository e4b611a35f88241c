"""How the bundled model is made: `make starter`."""

from dotbogi.training.starter.recipe import make_starter, starter_digest

__all__ = ["make_starter", "starter_digest"]
