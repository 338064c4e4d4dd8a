"""Metrics that ask the model, one file each."""
