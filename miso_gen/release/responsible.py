"""What venues ask of a data set beyond its files: limits, biases, persons, uses, effects, and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from miso_gen.contents import FOLDER
from miso_gen.release.markup import one_line
from miso_gen.release.summary import ScenarioSummary, scenario_summaries

if TYPE_CHECKING:
    from miso_gen.release.facts import ReleaseFacts


def responsible(facts: ReleaseFacts) -> dict[str, Any]:
    """Return the eight fields of the vocabularies RAI and PROV.

    They say what follows from the recipe, the table and the declarations of the scenarios, no more. What a recipe imported came
    from people, so the fields on persons and origin say that its authors must tell.
    """
    scenarios = scenario_summaries(facts)
    imports = _imports(facts)
    return {
        "rai:dataLimitations": _limitations(scenarios),
        "rai:dataBiases": _biases(scenarios),
        "rai:personalSensitiveInformation": _persons(imports),
        "rai:dataUseCases": [
            "Checking explanations of image classifiers (saliency and attribution maps) against pixel-exact truth.",
            "Training and testing classifiers, and segmentation, where the reason for every label is known.",
            "Not for training or judging systems that decide about people: no image is an observation of the world.",
        ],
        "rai:dataSocialImpact": (
            "Explanations that were checked against truth can be trusted for better reasons. A method that passes here may still "
            "fail on real images; a good score on this data set alone does not justify its use where people are affected."
        ),
        "rai:hasSyntheticData": True,
        "prov:wasDerivedFrom": [{"@id": quote(path)} for path in imports]
        or "No other data set: every image was computed from the recipe.",
        "prov:wasGeneratedBy": {"@type": "prov:Activity", "prov:label": _activity(facts)},
    }


def _imports(facts: ReleaseFacts) -> list[str]:
    return sorted(path for path in facts.files if path.startswith(f"{FOLDER}/"))


def _limitations(scenarios: tuple[ScenarioSummary, ...]) -> list[str]:
    found = [
        "The images are synthetic. They are simpler than photographs and micrographs, and results need not carry over to these.",
        "Labels follow rules of the generator. What makes a label true is known because it was made so.",
    ]
    for scenario in scenarios:
        unknown = scenario.images - scenario.known
        if unknown:
            found.append(
                f"Of {unknown:,} of {scenario.images:,} images of {scenario.name} nobody knows which objects make the label; "
                f"their truth marks all objects."
            )
        blank = scenario.known - scenario.evident
        if blank:
            found.append(
                f"{blank:,} of {scenario.images:,} images of {scenario.name} have no pixel that makes the label true: "
                f"scores that need one are undefined there."
            )
    return found


def _biases(scenarios: tuple[ScenarioSummary, ...]) -> list[str]:
    found = []
    for scenario in scenarios:
        if scenario.shortcuts:
            found.append(f"Known shortcuts of {scenario.name}: the class can also be told from {', '.join(scenario.shortcuts)}.")
        else:
            found.append(f"{scenario.name} declares no shortcut; that does not prove that there is none.")
        totals = {one_line(count.class_name): count.total for count in scenario.classes}
        if len(set(totals.values())) > 1:
            counts = ", ".join(f"{total:,} of {name}" for name, total in totals.items())
            found.append(f"The classes of {scenario.name} are not of equal size: {counts}.")
    return found


def _persons(imports: list[str]) -> str:
    if imports:
        return (
            f"The images were made with {len(imports)} imported content{'s' * (len(imports) != 1)} (shapes, places or masks), "
            f"stored below {FOLDER}/. Whether these come from persons, and with what consent, is for the authors of the data set "
            f"to say; the generator does not know."
        )
    return "None. Every image was computed from numbers and from shapes of the generator; no person or patient is shown."


def _activity(facts: ReleaseFacts) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(facts.versions.items()))
    made_with = f" with {versions}" if versions else ""
    return (
        f"Rendered from the recipe of {facts.name}, version {facts.version} (sha256 {facts.recipe_digest}){made_with}. "
        f"The same recipe gives the same pixels; root digest over all images: {facts.root_digest} (BLAKE3)."
    )
