"""The recipe of the bundled model: `make starter`."""

from dotbogi.training.starter.recipe import make_starter, starter_digest

__all__ = ["make_starter", "starter_digest"]
