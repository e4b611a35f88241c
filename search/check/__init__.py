"""What is wrong with a table, and what would help: `dotbogi check`."""

from dotbogi.search.check.check import check_table, counts_of, model_folder
from dotbogi.search.check.finding import Finding, Kind

__all__ = ["Finding", "Kind", "check_table", "counts_of", "model_folder"]
