"""Export: a PNG for each image, its truth and its instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from miso_gen.release.export_format import ExportFormat
from miso_gen.release.export_index import write_index
from miso_gen.release.exports import EXPORTS
from miso_gen.release.image_files import check_ids, write_plane

if TYPE_CHECKING:
    from miso_gen.release.export_folder import ExportFolder, ImageFiles
    from miso_gen.release.export_format import ExportImage, ExportSource
    from miso_gen.store.layout import ArrayName


@EXPORTS.register("png")
class PngExport(ExportFormat):
    """``gsp/test/0007.png`` with ``.truth.png`` (a palette; values 0, 1, 2) and, where stored, ``.instances.png`` (16 bit).

    ``index.csv`` has a row for each image: its files, labels, shares of truth and what was drawn.
    """

    cannot_hold: ClassVar[tuple[str, ...]] = (
        "No resolution levels: a PNG is read whole.",
        "Pixels of float32 become 16 bit; object ids above 65535 are refused.",
        "Tables of objects (kinds, boxes, drawn numbers), summaries and histograms stay in the store.",
    )

    def check(self, source: ExportSource) -> None:
        """See :class:`ExportFormat`."""
        check_ids(source)

    def write(self, source: ExportSource, image: ExportImage, files: ImageFiles) -> None:
        """See :class:`ExportFormat`."""
        for name in image.planes:
            with files.open(_file(image.id, name)) as file:
                files.notes |= write_plane(file, image, name)

    def finish(self, source: ExportSource, folder: ExportFolder) -> None:
        """See :class:`ExportFormat`."""
        write_index(source, folder, _file)


def _file(image_id: str, name: ArrayName) -> str:
    return f"{image_id}.png" if name == "image" else f"{image_id}.{name}.png"
