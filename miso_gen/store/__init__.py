"""The contract on disk: layout, write, read, validate. The only room that knows how pixels are stored.

Names are imported on first use, so that a command that needs one of them does not pay for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

if TYPE_CHECKING:
    from miso_gen.store.arrays import StoredArray
    from miso_gen.store.checksums import checksum
    from miso_gen.store.commit import finished_record
    from miso_gen.store.digests import BlockDigests, array_digest, root_digest
    from miso_gen.store.imports import offer_contents, write_contents, write_recipe
    from miso_gen.store.layout import LAYOUT, ArrayLayout, ImageLayout
    from miso_gen.store.local import LocalTarget
    from miso_gen.store.lock import BuildLock
    from miso_gen.store.manifest import MANIFEST, FileEntry, ImageEntry, Manifest, read_manifest
    from miso_gen.store.map_files import MapFolder, MapProblem, lies_at, open_maps
    from miso_gen.store.map_group import MapGroup, MapKind, MapPlace, StoredMap
    from miso_gen.store.maps import MAPS, MapStore
    from miso_gen.store.named import known_releases, known_stores, locate, places, precedence
    from miso_gen.store.objects import ObjectTable
    from miso_gen.store.opening import open_store
    from miso_gen.store.packed import PackedTarget
    from miso_gen.store.read import Dataset, ImageView, open_dataset
    from miso_gen.store.record import ImageRecord, read_record
    from miso_gen.store.root import (
        StoreRoot,
        collect_records,
        create_root,
        finish_root,
        image_path,
        list_images,
        read_root,
        sweep,
    )
    from miso_gen.store.sharded import ShardedImage, ShardWriter
    from miso_gen.store.target import Target, open_target
    from miso_gen.store.validate import Problem, validate_image, validate_store, validate_target
    from miso_gen.store.write import ImageWriter

_HOMES = {
    "arrays": ("StoredArray",),
    "commit": ("finished_record",),
    "digests": ("BlockDigests", "array_digest", "root_digest"),
    "imports": ("offer_contents", "write_contents", "write_recipe"),
    "layout": ("ArrayLayout", "ImageLayout", "LAYOUT"),
    "local": ("LocalTarget",),
    "lock": ("BuildLock",),
    "checksums": ("checksum",),
    "manifest": ("MANIFEST", "FileEntry", "ImageEntry", "Manifest", "read_manifest"),
    "map_files": ("MapFolder", "MapProblem", "lies_at", "open_maps"),
    "map_group": ("MapGroup", "MapKind", "MapPlace", "StoredMap"),
    "maps": ("MAPS", "MapStore"),
    "named": ("known_releases", "known_stores", "locate", "places", "precedence"),
    "objects": ("ObjectTable",),
    "opening": ("open_store",),
    "packed": ("PackedTarget",),
    "read": ("Dataset", "ImageView", "open_dataset"),
    "record": ("ImageRecord", "read_record"),
    "root": (
        "StoreRoot",
        "collect_records",
        "create_root",
        "finish_root",
        "image_path",
        "list_images",
        "read_root",
        "sweep",
    ),
    "sharded": ("ShardWriter", "ShardedImage"),
    "target": ("Target", "open_target"),
    "validate": ("Problem", "validate_image", "validate_store", "validate_target"),
    "write": ("ImageWriter",),
}

__all__ = [
    "LAYOUT",
    "MANIFEST",
    "MAPS",
    "ArrayLayout",
    "BlockDigests",
    "BuildLock",
    "Dataset",
    "FileEntry",
    "ImageEntry",
    "ImageLayout",
    "ImageRecord",
    "ImageView",
    "ImageWriter",
    "LocalTarget",
    "Manifest",
    "MapFolder",
    "MapGroup",
    "MapKind",
    "MapPlace",
    "MapProblem",
    "MapStore",
    "ObjectTable",
    "PackedTarget",
    "Problem",
    "ShardWriter",
    "ShardedImage",
    "StoreRoot",
    "StoredArray",
    "StoredMap",
    "Target",
    "array_digest",
    "checksum",
    "collect_records",
    "create_root",
    "finish_root",
    "finished_record",
    "image_path",
    "known_releases",
    "known_stores",
    "lies_at",
    "list_images",
    "locate",
    "offer_contents",
    "open_dataset",
    "open_maps",
    "open_store",
    "open_target",
    "places",
    "precedence",
    "read_manifest",
    "read_record",
    "read_root",
    "root_digest",
    "sweep",
    "validate_image",
    "validate_store",
    "validate_target",
    "write_contents",
    "write_recipe",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
