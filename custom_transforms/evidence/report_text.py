"""What the report tells in words: who was measured, where the threshold is from, how to read it, which file is what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custom_transforms.evidence.wording import measure_name, number

NOT_RECORDED = "not recorded"
TILES = ("auc", "sensitivity", "specificity", "brier")
POINT = {
    "threshold": "Threshold",
    "rule": "Chosen by",
    "split": "Chosen on (fold)",
    "operating_point_version": "Its version",
    "base_version": "In the place of version",
    "date": "Date",
    "version": "Version of the bundle",
    "data_list_sha256": "Data list, SHA-256",
}
CHOSEN_HERE = "the threshold was chosen on the fold that is measured here, which flatters every decision"

READING = {
    "classification": [
        "AUC says how well patients are ranked; calibration says whether a probability means what it says. A network "
        "may be good at one and bad at the other.",
        "Positive and negative predictive value change with the share of positives; use the table by prevalence.",
        "Where many groups are looked at, one may stand out by chance.",
    ],
    "segmentation": [
        "A region that is absent from truth and prediction counts as a Dice of 1, absent from one of them as 0.",
        "Pooled numbers are over the voxels of all patients together: large tumours dominate. A pooled Dice is not "
        "comparable with a mean Dice.",
        "The same error at the rim costs a small tumour more Dice than a large one; see the table by size.",
    ],
}
# file, what it holds, whether it may be given away
FILES = (
    ("report.html", "this page", "yes"),
    ("metrics.json", "every number of this page", "yes"),
    ("patients.csv", "the measured values of each patient, by row id", "yes"),
    ("lesions.csv", "each lesion, by row id", "yes"),
    ("deletion.json", "the check of where the network looked", "yes"),
    ("deletion.csv", "its curves of each patient, by row id", "yes"),
    ("figures", "the figures of this page as PNG", "yes"),
    ("saliency", "where the network looked, by row id", "if slices of the patients may be"),
    ("row_ids.csv", "whose row it is", "no: stays at home"),
    ("overlays", "prediction and truth of each patient; files are named by case", "no: named by case"),
)
WRITTEN_NOW = ("report.html", "figures")
PICTURES_OF_PATIENTS = "if slices of the patients shown may be"


def who_was_measured(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List patients, fold, hashes and settings, for a table of two columns."""
    facts = [("Part of the data list (fold)", summary.get("fold")), ("Patients", summary.get("patients"))]
    if "positives" in summary:
        share = f"{100 * summary['positives'] / max(summary['patients'], 1):.1f} %"
        facts.append(("Of them positive", f"{summary['positives']} ({share})"))
    facts.append(("Data list, SHA-256", summary.get("data_list_sha256")))
    facts.append(("Weights, SHA-256", summary.get("weights_sha256")))
    if summary.get("settings"):
        facts.append(("Settings", "; ".join(f"{name} {_plain(part)}" for name, part in summary["settings"].items())))
    return [(name, NOT_RECORDED if fact in (None, "") else str(fact)) for name, fact in facts]


def operating_point_facts(point: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """List what is known of the threshold; nothing where there is none."""
    if not point:
        return []
    facts = [(title, _of_point(point[name])) for name, title in POINT.items() if point.get(name) not in (None, "")]
    if point.get("patients"):
        facts.insert(3, ("Chosen on patients", f"{point['patients']}, {point.get('positives', '?')} positive"))
    calibration = point.get("calibration")
    if calibration:
        facts.append(("Calibration map", _map_in_words(calibration)))
    return facts


def warnings_of(summary: Mapping[str, Any]) -> list[str]:
    """List what is doubtful: about the evaluation, and about the choice of the threshold."""
    point = summary.get("operating_point") or {}
    told = [f"operating point: {warning}" for warning in point.get("warnings") or []]
    if point and point.get("split") == summary.get("fold"):
        told.append(f"operating point: {CHOSEN_HERE}")
    return [*map(str, summary.get("warnings") or []), *told]


def how_to_read(summary: Mapping[str, Any]) -> list[str]:
    """List what a reader must know to read the numbers of a task."""
    point = summary.get("operating_point") or {}
    told = []
    if point and point.get("split") != summary.get("fold"):
        told.append("The threshold was chosen on other patients than those measured here, and frozen before.")
    return [*told, *READING[summary["task"]]]


def tiles(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Choose the numbers that stand on top: name and estimate."""
    metrics = summary["metrics"]
    if summary["task"] == "classification":
        return [(measure_name(name), metrics[name]) for name in TILES if name in metrics]
    found = [("Mean Dice over regions", metrics["mean_dice"])] if "mean_dice" in metrics else []
    regions = summary.get("regions", {})
    return found + [(f"Mean Dice, {name}", part["mean_dice"]) for name, part in regions.items() if "mean_dice" in part]


def files_of(folder: Path, *, has_cases: bool) -> list[tuple[str, str, str]]:
    """List the files that are there; the page itself is about to be."""
    told = [part for part in FILES if part[0] in WRITTEN_NOW or (folder / part[0]).exists()]
    if has_cases:
        told[0] = (*told[0][:2], PICTURES_OF_PATIENTS)
    return told


def _of_point(fact: Any) -> str:
    return number(fact) if isinstance(fact, float) else str(fact)


def _map_in_words(calibration: Mapping[str, Any]) -> str:
    """Name a map and its numbers; of many, how many."""
    parts = [f"{name} {number(part)}" for name, part in calibration.items() if isinstance(part, float)]
    parts += [f"{len(part)} steps" for name, part in calibration.items() if isinstance(part, list)][:1]
    return ", ".join([str(calibration.get("kind", "")), *parts])


def _plain(part: Any) -> str:
    if isinstance(part, list):
        return ", ".join(map(_plain, part))
    if isinstance(part, dict):
        return ", ".join(f"{name} {_plain(value)}" for name, value in part.items())
    return str(part)
