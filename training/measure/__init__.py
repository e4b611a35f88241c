"""Measurement: metrics, evaluation, intervals, and the quality of confidences."""
