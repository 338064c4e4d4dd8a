"""Experiments from data to report: each stage finds again what it did."""
