"""Export: Parquet files that the package datasets opens as images, truth and classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from miso_gen.errors import InputError
from miso_gen.release.export_folder import piece_size
from miso_gen.release.export_format import ExportFormat, dashed
from miso_gen.release.exports import EXPORTS
from miso_gen.release.image_files import check_ids, write_plane
from miso_gen.release.licences import hub_licence
from miso_gen.release.markup import escaped, yaml_text
from miso_gen.release.shards import by_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miso_gen.release.export_folder import ExportFolder, ImageFiles
    from miso_gen.release.export_format import ExportImage, ExportSource

CARD: Final = "README.md"
_DEFAULT = "default"  # the configuration of all scenarios
_GROUP_BYTES = 1 << 26  # of a row group, about: what a reader holds
_PNG_BYTES = 2**31 - 1  # of a cell
_PICTURES = ("image", "truth", "instances")
#: Columns beside the pictures, by type; those of the truth are left out with it.
_TEXTS = ("image_id", "scenario", "split", "class_name", "pair", "morphology", "image_digest", "truth_digest", "instances_digest")
_TYPES = {**dict.fromkeys(_TEXTS, "string"), "truth_1_share": "float64", "truth_2_share": "float64", "truth_2_known": "bool"}
_TYPES |= dict.fromkeys(("height", "width"), "int64")

Group: TypeAlias = tuple[str, str]  # scenario and split of a file


@EXPORTS.register("hf")
@dataclass(frozen=True)
class HfExport(ExportFormat):
    """``data/<scenario>/<split>-00000-of-00001.parquet`` and a ``README.md``, for ``datasets.load_dataset(folder)``.

    Columns: ``image``, ``truth`` (a palette of values 0, 1, 2) and ``instances`` (where stored) as PNG, ``label``, what is known
    of the image, and ``parameters`` as JSON. Configurations: ``default`` of all images, and one for each scenario where there are
    several. ``label`` is a ClassLabel where each class has one name in all scenarios of the configuration, else a number.

    Args:
        shard_bytes: Greatest size of the pictures of a file; one of a single larger image is larger.
    """

    shard_bytes: int = 5 * 10**8

    cannot_hold: ClassVar[tuple[str, ...]] = (
        "No resolution levels, and no part of an image: a picture is read whole, and is smaller than 2 GiB.",
        "Pixels of float32 become 16 bit; object ids above 65535 are refused.",
        "Tables of objects (kinds, boxes, drawn numbers), summaries and histograms stay in the store.",
        "Names of splits have underscores for dashes.",
    )

    def check(self, source: ExportSource) -> None:
        """See :class:`ExportFormat`."""
        if self.shard_bytes < 1:
            raise InputError(f"shard_bytes must be at least 1, got {self.shard_bytes}. Use 500000000.")
        check_ids(source)

    def write(self, source: ExportSource, image: ExportImage, files: ImageFiles) -> None:
        """See :class:`ExportFormat`."""
        for name in image.planes:
            with files.piece(_piece(image.number, name)) as file:
                files.notes |= write_plane(file, image, name)
                if file.tell() > _PNG_BYTES:
                    raise InputError(
                        f"the PNG of {image.id} must be at most {_PNG_BYTES} bytes in a Parquet file, got {file.tell()}. "
                        "Export to ome-tiff, or leave the image out."
                    )
        if image.truth:
            with files.piece(_piece(image.number, "parameters")) as file:
                file.write(json.dumps(dict(image.parameters), sort_keys=True, ensure_ascii=False).encode())

    def finish(self, source: ExportSource, folder: ExportFolder) -> None:
        """See :class:`ExportFormat`."""
        columns = _columns(source)
        for group, numbers in _groups(source).items():
            sizes = [sum(piece_size(folder, path) for path in _pieces(source, number)) for number in numbers]
            shards = by_size(numbers, sizes, self.shard_bytes)
            for place, members in enumerate(shards):
                path = f"{_stem(group)}-{place:05d}-of-{len(shards):05d}.parquet"
                if not folder.has(path):
                    with folder.open(path) as file:
                        _write(file, source, folder, members, columns)
                    folder.note_joined(path, [piece for number in members for piece in _pieces(source, number)])
        if not folder.has(CARD):
            with folder.open(CARD) as file:
                file.write(_card(source, columns).encode())


def _piece(number: int, name: str) -> str:
    return f"{number}/{name}"


def _pieces(source: ExportSource, number: int) -> list[str]:
    names = ["image"]
    if source.truth:
        names += ["truth", "parameters"]
        names += ["instances"] if source.rows[number]["instances_digest"] is not None else []
    return [_piece(number, name) for name in names]


def _groups(source: ExportSource) -> dict[Group, list[int]]:
    groups: dict[Group, list[int]] = {}
    for number, row in enumerate(source.rows):
        groups.setdefault((str(row["scenario"]), str(row["split"])), []).append(number)
    return dict(sorted(groups.items()))


def _split(name: str) -> str:
    return name.replace("-", "_")


def _stem(group: Group) -> str:
    return f"data/{group[0]}/{_split(group[1])}"


# --- columns ----------------------------------------------------------------------------------------------------------


def _columns(source: ExportSource) -> dict[str, Any]:
    """Return the features of the columns as datasets writes them."""
    columns: dict[str, Any] = {"image": {"_type": "Image"}}
    if source.truth:
        columns["truth"] = {"_type": "Image"}
        if source.dataset.table["instances_digest"].notna().any():
            columns["instances"] = {"_type": "Image"}
    columns["label"] = _label(source.class_names())
    columns |= {name: {"dtype": _TYPES[name], "_type": "Value"} for name in source.about(source.rows[0]) if name != "label"}
    if source.truth:
        columns["parameters"] = {"dtype": "string", "_type": "Value"}
    return columns


def _label(names: list[str] | None) -> dict[str, Any]:
    return {"dtype": "int64", "_type": "Value"} if names is None else {"names": names, "_type": "ClassLabel"}


def _write(file: Any, source: ExportSource, folder: ExportFolder, members: Sequence[int], columns: Mapping[str, Any]) -> None:
    """Write a Parquet file, a group of rows at a time."""
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    types = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    fields = [(name, picture if name in _PICTURES else types[entry.get("dtype", "int64")]) for name, entry in columns.items()]
    text = json.dumps({"info": {"features": columns}}, ensure_ascii=False)
    schema = pa.schema(fields, metadata={"huggingface": text})
    sizes = [sum(piece_size(folder, path) for path in _pieces(source, number)) for number in members]
    plain = [name for name in columns if name not in _PICTURES]
    with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=plain, write_statistics=plain) as writer:
        for group in by_size(members, sizes, _GROUP_BYTES):
            rows = [_row(source, folder, number, columns) for number in group]
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=len(rows))


def _row(source: ExportSource, folder: ExportFolder, number: int, columns: Mapping[str, Any]) -> dict[str, Any]:
    row = source.rows[number]
    out: dict[str, Any] = dict(source.about(row))
    there = _pieces(source, number)
    for name in columns:
        path = _piece(number, name)
        if name in _PICTURES:
            suffix = "png" if name == "image" else f"{name}.png"
            cell = {"path": f"{dashed(str(row['image_id']))}.{suffix}"}
            out[name] = {"bytes": folder.piece(path).read_bytes(), **cell} if path in there else None
        elif name == "parameters":
            out[name] = folder.piece(path).read_text("utf-8")
    return out


# --- card -------------------------------------------------------------------------------------------------------------


def _configs(source: ExportSource) -> dict[str, list[Group]]:
    groups = list(_groups(source))
    scenarios = sorted({scenario for scenario, _ in groups})
    configs = {_DEFAULT: groups}
    if len(scenarios) > 1:
        configs |= {name: [group for group in groups if group[0] == name] for name in scenarios if name != _DEFAULT}
    return configs


def _card(source: ExportSource, columns: Mapping[str, Any]) -> str:
    configs = _configs(source)
    named = source.class_names() is not None
    head: dict[str, Any] = {"license": hub_licence(source.text("license")), "pretty_name": source.title}
    if head["license"] == "other":
        head["license_name"] = source.text("license")
    head["configs"] = [{"config_name": name, "data_files": _data_files(groups)} for name, groups in configs.items()]
    if not named and len(configs) > 1:
        # Classes of several scenarios share numbers, so a file can't name them; its configuration can.
        head["dataset_info"] = [
            {"config_name": name, "features": _features(columns, source.class_names([name]))}
            for name in configs
            if name != _DEFAULT
        ]
    other = next((name for name in configs if name != _DEFAULT), None)
    lines = [
        f"# {escaped(source.title)}",
        "",
        f"Data set {source.dataset.name} {source.dataset.version}, {len(source.rows)} images, exported by miso-gen. "
        "`NOTES.md` says what is not here.",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'images = load_dataset(".")',
        *([f'images = load_dataset(".", "{other}")  # one scenario'] if other else []),
        "```",
    ]
    if source.truth:
        lines += ["", "`truth` has the values 0 irrelevant, 1 localisation, 2 discriminative: `numpy.asarray(row['truth'])`."]
    return f"---\n{yaml_text(head)}---\n" + "\n".join(lines) + "\n"


def _data_files(groups: Sequence[Group]) -> list[dict[str, Any]]:
    splits: dict[str, list[str]] = {}
    for group in groups:
        splits.setdefault(_split(group[1]), []).append(f"{_stem(group)}-*.parquet")
    return [{"split": split, "path": paths} for split, paths in splits.items()]


def _features(columns: Mapping[str, Any], names: list[str] | None) -> list[dict[str, Any]]:
    """Return features as a card writes them."""
    out: list[dict[str, Any]] = []
    for name, entry in columns.items():
        if name == "label" and names is not None:
            given: Any = {"class_label": {"names": {str(number): text for number, text in enumerate(names)}}}
        else:
            given = "image" if entry["_type"] == "Image" else entry["dtype"]
        out.append({"name": name, "dtype": given})
    return out
