"""Export: tar shards of samples, as the package webdataset reads them."""

from __future__ import annotations

import io
import shutil
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, ClassVar, Final

from miso_gen.errors import InputError
from miso_gen.release.export_folder import piece_size
from miso_gen.release.export_format import ExportFormat, check_dashed, dashed
from miso_gen.release.exports import EXPORTS
from miso_gen.release.image_files import check_ids, write_plane
from miso_gen.release.shards import by_size
from miso_gen.store import metadata

if TYPE_CHECKING:
    from miso_gen.release.export_folder import ExportFolder, ImageFiles
    from miso_gen.release.export_format import ExportImage, ExportSource

_END: Final = bytes(2 * tarfile.BLOCKSIZE)


@EXPORTS.register("webdataset")
@dataclass(frozen=True)
class WebDatasetExport(ExportFormat):
    """``<split>-000000.tar``, ... of samples ``gsp-test-0007``: ``png``, ``truth.png``, ``instances.png``, ``cls``, ``json``.

    Samples are in the order of their ids, so shuffle them when training. Truth is grey of values 0, 1, 2: the decoders of
    webdataset turn a palette into colours. Instances are there where they are stored. ``cls`` is the label; ``json`` all that is
    known of the image. Times, owners and modes are fixed.

    Args:
        shard_bytes: Greatest size of a shard; one of a single larger sample is larger.
    """

    shard_bytes: int = 10**9

    cannot_hold: ClassVar[tuple[str, ...]] = (
        "No resolution levels, and no part of an image: a sample is read whole.",
        "Pixels of float32 become 16 bit; object ids above 65535 are refused.",
        "Tables of objects (kinds, boxes, drawn numbers), summaries and histograms stay in the store.",
        "The decoders of webdataset turn every PNG into 8 bit: decode instances and pixels of 16 bit yourself, by OpenCV.",
        "Classes are not mixed: samples stand in the order of their ids. Shuffle when training.",
    )

    def check(self, source: ExportSource) -> None:
        """See :class:`ExportFormat`."""
        if self.shard_bytes < 1:
            raise InputError(f"shard_bytes must be at least 1, got {self.shard_bytes}. Use 1000000000.")
        check_dashed(source, "image ids of webdataset")
        check_ids(source)

    def write(self, source: ExportSource, image: ExportImage, files: ImageFiles) -> None:
        """See :class:`ExportFormat`."""
        key = dashed(image.id)
        with files.piece(_piece(image.number)) as piece:
            for name in image.planes:
                png = io.BytesIO()
                files.notes |= write_plane(png, image, name, coloured=False)
                _add(piece, f"{key}.png" if name == "image" else f"{key}.{name}.png", png.getvalue())
            _add(piece, f"{key}.cls", str(image.row["label"]).encode())
            about = {**source.about(image.row), "data_set": source.dataset.name, "version": source.dataset.version}
            drawn = {"parameters": dict(image.parameters)} if image.truth else {}
            _add(piece, f"{key}.json", metadata.canonical({**about, **drawn}))

    def finish(self, source: ExportSource, folder: ExportFolder) -> None:
        """See :class:`ExportFormat`."""
        splits: dict[str, list[int]] = {}
        for number, row in enumerate(source.rows):
            splits.setdefault(str(row["split"]), []).append(number)
        for split, numbers in splits.items():
            shards = by_size(numbers, [piece_size(folder, _piece(number)) for number in numbers], self.shard_bytes - len(_END))
            for place, members in enumerate(shards):
                self._join(folder, f"{split}-{place:06d}.tar", [_piece(number) for number in members])

    def _join(self, folder: ExportFolder, path: str, pieces: list[str]) -> None:
        if folder.has(path):
            return
        with folder.open(path) as shard:
            for piece in pieces:
                with folder.piece(piece).open("rb") as part:
                    shutil.copyfileobj(part, shard, 1 << 20)
            shard.write(_END)
        folder.note_joined(path, pieces)


def _piece(number: int) -> str:
    return f"{number}.tar"


def _add(file: IO[bytes], name: str, data: bytes) -> None:
    """Add a member: a header without time and owner, then its bytes, filled up to a block."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    file.write(member.tobuf(tarfile.PAX_FORMAT))
    file.write(data)
    file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
