"""Backgrounds: one file each."""
