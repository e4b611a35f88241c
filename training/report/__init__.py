"""The report of a run: report.html for people, report.md for a pull request."""

from dotbogi.training.report.files import WrittenReport, report_on, write_report

__all__ = ["WrittenReport", "report_on", "write_report"]
