"""What is known of a finished image: the ``miso`` attributes of its group, and its row of the index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from miso_gen.errors import CorruptStoreError
from miso_gen.store.arrays import parse_json
from miso_gen.store.checksums import checksum
from miso_gen.store.layout import LAYOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from miso_gen.store.digests import BlockDigests
    from miso_gen.store.layout import ArrayName, ImageLayout
    from miso_gen.store.target import Target

#: What a builder says of every image; the writer adds shape, digests, histogram and truth shares.
GIVEN = ("id", "scenario", "split", "label", "class_name", "pair", "morphology", "parameters")


@dataclass(frozen=True)
class ImageRecord:
    """A finished image.

    Attributes:
        path: Folder of its group, relative to the target it was written to.
        miso: The ``miso`` attributes of the group.
        checksum: Of its ``zarr.json``; None where that was not read.
    """

    path: str
    miso: Mapping[str, Any]
    checksum: str | None = None

    @property
    def image_id(self) -> str:
        """Its id, such as ``gsp/test/0007``."""
        return str(self.miso["id"])

    @property
    def image_digest(self) -> str:
        """Digest of the pixels."""
        return str(self.miso["digests"]["image"])

    @property
    def truth_digest(self) -> str:
        """Digest of the truth."""
        return str(self.miso["digests"]["truth"])

    @property
    def instances_digest(self) -> str | None:
        """Digest of the instances, None where they are not stored."""
        digest = self.miso["digests"].get("instances")
        return None if digest is None else str(digest)

    @property
    def files(self) -> Mapping[str, str]:
        """Checksums of its files but ``zarr.json``, by path; none where a build noted none."""
        files: Mapping[str, str] = self.miso.get("files", {})
        return files

    def row(self) -> dict[str, Any]:
        """Return the row of the index without ``path``; drawn parameters as ``params.<name>``."""
        miso = self.miso
        row = {
            "image_id": self.image_id,
            **{name: miso[name] for name in GIVEN[1:-1]},
            "truth_2_known": miso.get("truth_2_known", True),
            **{name: miso[name] for name in ("height", "width", "truth_1_share", "truth_2_share", "histogram")},
            "image_digest": self.image_digest,
            "truth_digest": self.truth_digest,
            "instances_digest": self.instances_digest,
            "checksum": self.checksum,
        }
        row.update((f"params.{name}", value) for name, value in miso["parameters"].items())
        return row


def image_attributes(
    layout: ImageLayout,
    given: Mapping[str, Any],
    digests: Mapping[ArrayName, BlockDigests],
    histogram: NDArray[Any],
    truth_counts: tuple[int, int],
    objects_digest: str | None,
) -> dict[str, Any]:
    """Return the ``miso`` attributes of an image.

    Raises:
        ValueError: ``given`` lacks a name of ``GIVEN``.
    """
    missing = [name for name in GIVEN if name not in given]
    if missing:
        raise ValueError(f"attributes of an image must have {', '.join(GIVEN)}, got none for {', '.join(missing)}. Add them.")
    pixels = layout.height * layout.width
    hashed: dict[str, str] = {name: blocks.hexdigest() for name, blocks in digests.items()}
    if objects_digest is not None:
        hashed["objects"] = objects_digest
    return {
        **given,
        "layout": LAYOUT,
        "height": layout.height,
        "width": layout.width,
        "channels": layout.channels,
        "dtype": layout.dtype,
        "digests": hashed,
        "histogram": histogram.tolist(),
        "truth_1_share": truth_counts[0] / pixels,
        "truth_2_share": truth_counts[1] / pixels,
    }


def read_record(target: Target, path: str) -> ImageRecord:
    """Return the record of a finished image.

    Raises:
        FileNotFoundError: There is no such image, or it was never finished.
        CorruptStoreError: Its ``zarr.json`` is broken, or is not an image of miso-gen.
    """
    data = target.read(f"{path}/zarr.json")
    document = parse_json(data, target.describe(f"{path}/zarr.json"))
    attributes = document.get("attributes")
    miso = attributes.get("miso") if isinstance(attributes, dict) else None
    needed = (*GIVEN, "height", "width", "channels", "dtype", "digests", "histogram", "truth_1_share", "truth_2_share")
    if not isinstance(miso, dict) or any(name not in miso for name in needed):
        raise CorruptStoreError(
            f"{target.describe(path)}/zarr.json must have the miso attributes of an image, got others. "
            "Build the image again, or fetch it again."
        )
    return ImageRecord(path, miso, checksum(data))
