"""Packs: zip archives of OME-Zarr images (RFC-9, ``.ozx``) whose bytes depend on nothing but the images.

Members are stored as they are, dated 1980-01-01; every ``zarr.json`` comes first, breadth first, then the rest by name. A pack
is a collection as OME-NGFF 0.5 has it: ``OME/zarr.json`` lists the images, ``OME/METADATA.ome.xml`` describes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final
from xml.sax.saxutils import quoteattr
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from miso_gen.errors import CorruptStoreError
from miso_gen.store import checksum, image_path, read_record
from miso_gen.store.layout import OME_VERSION
from miso_gen.store.metadata import group
from miso_gen.store.root import root_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from miso_gen.store import ImageRecord, Target

PACK_BYTES: Final = 4_000_000_000  #: size up to which images share a pack
_FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)
_COMMENT: Final = {"ome": {"version": OME_VERSION, "zipFile": {"centralDirectory": {"jsonFirst": True}}}}
_UNIX: Final = 3
_RULES: Final = 0o100644 << 16  # a plain file, readable by all
_OME_TYPES: Final = {"uint8": "uint8", "uint16": "uint16", "float32": "float"}
_BATCH: Final = 1 << 22


@dataclass(frozen=True)
class Pack:
    """A pack to be written.

    Attributes:
        name: Of its file.
        records: Its images.
    """

    name: str
    records: tuple[ImageRecord, ...]


def plan_packs(target: Target, records: Iterable[ImageRecord], limit: int = PACK_BYTES) -> list[Pack]:
    """Return the packs of a store: those of each split apart, filled in the order of ids up to ``limit`` bytes.

    Args:
        target: The store.
        records: All images.
        limit: Bytes of a pack; an image that is larger alone has one for itself.
    """
    splits: dict[str, list[list[ImageRecord]]] = {}
    room: dict[str, int] = {}
    for record in sorted(records, key=lambda record: record.image_id):
        split = str(record.miso["split"])
        size = sum(target.size(f"{record.path}/{file}") or 0 for file in record.files)
        if split not in splits or size > room[split]:
            splits.setdefault(split, []).append([])
            room[split] = limit
        splits[split][-1].append(record)
        room[split] -= size
    return [
        Pack(f"{split}-{number:03d}.ozx", tuple(part))
        for split, parts in sorted(splits.items())
        for number, part in enumerate(parts, 1)
    ]


def write_pack(file: IO[bytes], pack: Pack, target: Target, root: Mapping[str, Any]) -> None:
    """Write a pack; every byte of the store is compared with its checksum on the way.

    Args:
        file: Where to; it must be seekable.
        pack: What.
        target: The store.
        root: The ``miso`` attributes of the store's root.

    Raises:
        CorruptStoreError: A file of the store is missing or damaged.
    """
    texts = {
        "zarr.json": root_text(root, {"ome": {"version": OME_VERSION, "bioformats2raw.layout": 3}}),
        "OME/zarr.json": group({"ome": {"version": OME_VERSION, "series": [record.image_id for record in pack.records]}}),
        "OME/METADATA.ome.xml": _ome_xml(pack.records).encode(),
    }
    ids = [record.image_id.split("/") for record in pack.records]
    texts |= {f"{'/'.join(parts[:depth])}/zarr.json": group() for parts in ids for depth in range(1, len(parts))}
    places: dict[str, tuple[ImageRecord, str]] = {}
    for record in pack.records:
        places |= {f"{record.image_id}/{name}": (record, name) for name in ("zarr.json", *record.files)}
    with ZipFile(file, "w", ZIP_STORED, allowZip64=True) as archive:
        archive.comment = json.dumps(_COMMENT, separators=(",", ":")).encode()
        for path in sorted([*texts, *places], key=_order):
            data = texts[path] if path in texts else _checked(target, *places[path])
            _add(archive, path, data)


def read_records(target: Target, checksums: Mapping[str, str | None]) -> Iterator[ImageRecord]:
    """Yield the records of images.

    Args:
        target: The store.
        checksums: Those of their ``zarr.json`` by the index, by id.

    Raises:
        CorruptStoreError: An image is missing or damaged, or has no checksums.
    """
    for image_id, own in checksums.items():
        try:
            record = read_record(target, image_path(image_id))
        except FileNotFoundError:
            raise _damaged(target, f"{image_path(image_id)}/zarr.json", "no such file") from None
        if not record.files:
            raise CorruptStoreError(
                f"{image_id} must have checksums of its files, got none. An older miso-gen built it: run miso-gen build again."
            )
        if record.checksum != own:
            raise _damaged(target, f"{record.path}/zarr.json", "another checksum than the index says")
        yield record


def _checked(target: Target, record: ImageRecord, name: str) -> bytes:
    path = f"{record.path}/{name}"
    try:
        data = target.read(path)
    except FileNotFoundError:
        raise _damaged(target, path, "no such file") from None
    if checksum(data) != (record.checksum if name == "zarr.json" else record.files[name]):
        raise _damaged(target, path, "another checksum")
    return data


def _damaged(target: Target, path: str, got: str) -> CorruptStoreError:
    return CorruptStoreError(
        f"{target.describe(path)} must be as its build left it, got {got}. See what else is damaged with miso-gen verify, "
        "remove these images, and build again."
    )


def _order(path: str) -> tuple[bool, int, str]:
    text = path == "zarr.json" or path.endswith("/zarr.json")
    return (not text, path.count("/") if text else 0, path)


def _add(archive: ZipFile, path: str, data: bytes) -> None:
    info = ZipInfo(path, _FIRST_DAY)
    info.create_system, info.external_attr, info.compress_type = _UNIX, _RULES, ZIP_STORED
    info.file_size = len(data)
    with archive.open(info, "w", force_zip64=True) as member:  # the same header whatever the size
        view = memoryview(data)
        for start in range(0, len(data), _BATCH):
            member.write(view[start : start + _BATCH])


def _ome_xml(records: Sequence[ImageRecord]) -> str:
    """Return the OME-XML of a collection: what its images are, not where their pixels lie."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">',
    ]
    for number, record in enumerate(records):
        miso = record.miso
        sizes = f'SizeX="{miso["width"]}" SizeY="{miso["height"]}" SizeZ="1" SizeC="{miso["channels"]}" SizeT="1"'
        lines.append(f'  <Image ID="Image:{number}" Name={quoteattr(record.image_id)}>')
        lines.append(f'    <Pixels ID="Pixels:{number}" DimensionOrder="XYCZT" Type="{_OME_TYPES[miso["dtype"]]}" {sizes}>')
        lines += [f'      <Channel ID="Channel:{number}:{c}" SamplesPerPixel="1"/>' for c in range(miso["channels"])]
        lines += ["      <MetadataOnly/>", "    </Pixels>", "  </Image>"]
    return "\n".join([*lines, "</OME>", ""])
