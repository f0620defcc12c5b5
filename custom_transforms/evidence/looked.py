"""Where the classifier looked: what the check by deletion found, and pictures of a few patients."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from custom_transforms.evidence.case_pictures import CasePicture
from custom_transforms.evidence.wording import measure_name
from custom_transforms.refusal import RefusedError

SUMMARY, CURVES, PICTURES = "deletion.json", "deletion.png", "saliency"
SAME = ("fold", "weights_sha256")  # else it is of another evaluation
EVEN = 0.5  # probability from which an answer is positive where no decision was made
Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Looked:
    """Estimates by map, what they mean, and pictures."""

    maps: dict[str, dict[str, Any]]
    findings: list[str]
    pictures: list[CasePicture]


def read_looked(folder: Path, summary: Mapping[str, Any], rows: Rows) -> Looked | None:
    """Read what explaining left beside an evaluation; None where it did not run, or on another network.

    Args:
        folder: of the evaluation.
        summary: its `metrics.json`.
        rows: its `patients.csv`.

    Raises:
        RefusedError: a damaged `deletion.json`.
    """
    if not (folder / SUMMARY).is_file():
        return None
    try:
        found = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        if any(found[name] != summary.get(name) for name in SAME):
            return None
        maps = {
            measure_name(name): {key: part[key] for key in ("area", "random_area", "difference")}
            for name, part in found["maps"].items()
        }
        findings = [
            f"{measure_name(name)}: {part['finding']}: {part['words']}." for name, part in found["maps"].items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        expected = "what explaining writes"
        raise RefusedError.of("damaged_evaluation", SUMMARY, expected=expected, got="something else") from error
    return Looked(maps, findings, list(_pictures(folder, rows)))


def _pictures(folder: Path, rows: Rows) -> Iterator[CasePicture]:
    """Give the curves, and the surest patient of each kind who has a picture."""
    if (folder / CURVES).is_file():
        words = "Mean probability of the slice that decides, as more of it is deleted: along each map, and at random."
        yield CasePicture("Deletion", words, words, folder / CURVES)
    kinds = {"Found": (1, True), "False alarm": (0, True), "Missed": (1, False)}
    for kind, (label, positive) in kinds.items():
        alike = [row for row in rows if (int(float(row["label"])), _is_positive(row)) == (label, positive)]
        for row in sorted(alike, key=lambda row: float(row["prob"]), reverse=positive):
            file = folder / PICTURES / f"{row['row']}.png"
            if file.is_file():
                truth = ("negative", "positive")[label]
                words = f"Row {row['row']}, {truth}, probability {float(row['prob']):.3f}: the slices with the highest."
                yield CasePicture(kind, words, words, file)
                break


def _is_positive(row: Mapping[str, str]) -> bool:
    decision = row.get("decision")
    return decision == "positive" if decision in ("positive", "negative") else float(row["prob"]) >= EVEN
