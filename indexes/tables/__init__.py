"""Read tables of questions and answers."""

from dotbogi.indexes.tables.reader import SAMPLE_FOLDER, SAMPLE_PATH, read_table
from dotbogi.indexes.tables.table import Reading, Row, Skip, Table

__all__ = ["SAMPLE_FOLDER", "SAMPLE_PATH", "Reading", "Row", "Skip", "Table", "read_table"]
