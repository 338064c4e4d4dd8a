"""Scores -> tables, figures, report cards."""
