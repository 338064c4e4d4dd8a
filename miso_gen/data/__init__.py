"""Stores and recipes as training data: patches, their order, torch data sets and loaders.

Names are imported on first use. Patches, order, sampling, splitting and stitching need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miso_gen.lazy import lazy_names

if TYPE_CHECKING:
    from miso_gen.data.datasets import PatchDataset
    from miso_gen.data.grid import Patches, Shift, grid_patches
    from miso_gen.data.images import BagDataset, ImageDataset
    from miso_gen.data.loader import PatchLoader
    from miso_gen.data.module import MisoDataModule
    from miso_gen.data.order import EpochOrder
    from miso_gen.data.patches import PatchTable, PixelMean, patch_table
    from miso_gen.data.pixels import PixelPool
    from miso_gen.data.recipes import RecipeDataset
    from miso_gen.data.sampling import class_balanced, object_balanced
    from miso_gen.data.splitting import split_ids
    from miso_gen.data.stitching import Cells, cells_of, positive_cells, stitch
    from miso_gen.data.transforms import Chain, Dihedral, Together

_HOMES = {
    "datasets": ("PatchDataset",),
    "grid": ("Patches", "Shift", "grid_patches"),
    "images": ("BagDataset", "ImageDataset"),
    "loader": ("PatchLoader",),
    "module": ("MisoDataModule",),
    "order": ("EpochOrder",),
    "patches": ("PatchTable", "PixelMean", "patch_table"),
    "pixels": ("PixelPool",),
    "recipes": ("RecipeDataset",),
    "sampling": ("class_balanced", "object_balanced"),
    "splitting": ("split_ids",),
    "stitching": ("Cells", "cells_of", "positive_cells", "stitch"),
    "transforms": ("Chain", "Dihedral", "Together"),
}

__all__ = [
    "BagDataset",
    "Cells",
    "Chain",
    "Dihedral",
    "EpochOrder",
    "ImageDataset",
    "MisoDataModule",
    "PatchDataset",
    "PatchLoader",
    "PatchTable",
    "Patches",
    "PixelMean",
    "PixelPool",
    "RecipeDataset",
    "Shift",
    "Together",
    "cells_of",
    "class_balanced",
    "grid_patches",
    "object_balanced",
    "patch_table",
    "positive_cells",
    "split_ids",
    "stitch",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, extra="eval", packages=("torch", "torchvision", "lightning"))
