"""Metrics of a map against truth, one file each; those that repeat released code are in ``miso_gen.metrics.legacy``."""

import miso_gen.metrics.legacy  # noqa: F401  # registers itself
