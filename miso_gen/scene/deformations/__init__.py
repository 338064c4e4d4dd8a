"""Deformations of silhouettes: one file each."""
