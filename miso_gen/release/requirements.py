"""What a Croissant document must say: the core of the format, and the fields on responsible AI that venues ask for."""

from __future__ import annotations

from typing import Any, Final

#: Required or recommended by Croissant, of the data set.
CORE: Final = (
    "@context",
    "@type",
    "conformsTo",
    "name",
    "description",
    "license",
    "url",
    "version",
    "datePublished",
    "creator",
    "citeAs",
    "keywords",
    "distribution",
    "recordSet",
)
#: Required by venues beside these.
RESPONSIBLE: Final = (
    "rai:dataLimitations",
    "rai:dataBiases",
    "rai:personalSensitiveInformation",
    "rai:dataUseCases",
    "rai:dataSocialImpact",
    "rai:hasSyntheticData",
    "prov:wasDerivedFrom",
    "prov:wasGeneratedBy",
)
_FILE: Final = ("@type", "@id", "name", "contentUrl", "contentSize", "encodingFormat", "sha256")


def missing_fields(document: dict[str, Any]) -> list[str]:
    """Return what a Croissant document lacks, in a fixed order; empty for a whole one.

    A field is missing where it is not there, null, or empty. Fields of files are named ``distribution/<file>/<field>``, names of
    creators ``creator/<place>/name``. The public validators do not report these: ``mlcroissant`` accepts a document without
    creator, url or description.
    """
    missing = [field for field in (*CORE, *RESPONSIBLE) if _empty(document.get(field))]
    for place, creator in enumerate(_listed(document.get("creator"))):
        if not isinstance(creator, dict) or _empty(creator.get("name")):
            missing.append(f"creator/{place}/name")
    for place, file in enumerate(_listed(document.get("distribution"))):
        fields = file if isinstance(file, dict) else {}
        missing += [f"distribution/{fields.get('@id') or place}/{field}" for field in _FILE if _empty(fields.get(field))]
    return missing


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, (list, dict)) and not value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if _empty(value) else [value]
