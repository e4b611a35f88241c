"""Write a collection as a table that `index` reads again."""

from dotbogi.indexes.export.whole import check_free, whole
from dotbogi.indexes.export.workbook import write_workbook
from dotbogi.indexes.export.write import FORMATS, Exported, Format, export, format_of

__all__ = [
    "FORMATS",
    "Exported",
    "Format",
    "check_free",
    "export",
    "format_of",
    "whole",
    "write_workbook",
]
