"""Cells: one file each."""
