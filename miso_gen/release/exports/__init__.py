"""Formats that stores are exported to: one file each. See :mod:`miso_gen.release.export_format`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from miso_gen.registry import Registry

if TYPE_CHECKING:
    from miso_gen.release.export_format import ExportFormat

EXPORTS: Final[Registry[ExportFormat]] = Registry("export format", "miso_gen.release.exports")
