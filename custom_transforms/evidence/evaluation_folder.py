"""Read the folder of an evaluation, and refuse one that does not hold together."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from custom_transforms.refusal import RefusedError

METRICS, PATIENTS, LESIONS = "metrics.json", "patients.csv", "lesions.csv"
NEEDED = {"classification": ("row", "label", "prob"), "segmentation": ("row", "region", "dice")}
NUMBERS = {
    "classification": ("label", "prob", "calibrated_prob"),
    "segmentation": ("dice", "hd95_mm", "volume_ml", "truth_volume_ml"),
}
# what the report walks through; all but the metrics may be absent
LISTS = ("warnings", "at_prevalence", "at_fixed", "subgroups", "strata", "risk_coverage")
MAPPINGS = ("metrics", "regions", "operating_point", "confusion", "settings")
Table = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class EvaluationFolder:
    """What an evaluation wrote: the content of `metrics.json`, and the tables as text, `lesions` perhaps empty."""

    path: Path
    summary: dict[str, Any]
    rows: Table
    lesions: Table


def read_evaluation_folder(path: Path) -> EvaluationFolder:
    """Read `metrics.json`, `patients.csv` and, if it is there, `lesions.csv`.

    Raises:
        RefusedError: a file is missing or damaged, or the tables are not of the patients that the summary counts.
    """
    for name in (METRICS, PATIENTS):
        if not (path / name).is_file():
            expected = "a folder that evaluating has written"
            raise RefusedError.of("missing_evaluation", name, expected=expected, got="no such file")
    summary = _read_summary(path / METRICS)
    rows = _read_table(path / PATIENTS)
    _check_rows(summary, rows)
    lesions = _read_table(path / LESIONS) if (path / LESIONS).is_file() else []
    strangers = {row.get("row") for row in lesions} - {row["row"] for row in rows}
    if strangers:
        raise RefusedError.of("other_patients", LESIONS, expected=f"rows of {PATIENTS}", got="others")
    return EvaluationFolder(path=path, summary=summary, rows=rows, lesions=lesions)


def _read_summary(file: Path) -> dict[str, Any]:
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(METRICS, "JSON as evaluating writes it") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("metrics"), dict):
        raise _damaged(METRICS, "the metrics of an evaluation")
    if summary.get("task") not in NEEDED:
        raise _damaged(METRICS, f"the task {' or '.join(NEEDED)}")
    wrong = [name for name in LISTS if not isinstance(summary.get(name, []), list)]
    wrong += [name for name in MAPPINGS if not isinstance(summary.get(name) or {}, dict)]
    parts = [part for name in LISTS[1:] for part in summary.get(name, []) if not wrong]
    if wrong or not all(isinstance(part, dict) for part in parts) or not _estimates_are_whole(summary, parts):
        raise _damaged(METRICS, "what evaluating writes")
    return summary


def _estimates_are_whole(summary: Mapping[str, Any], parts: list[dict[str, Any]]) -> bool:
    held = [summary["metrics"], *summary.get("regions", {}).values(), *(part.get("metrics", {}) for part in parts)]
    if not all(isinstance(metrics, dict) for metrics in held):
        return False
    estimates = [found for metrics in held for name, found in metrics.items() if name != "bland_altman"]
    return all(isinstance(found, dict) and "value" in found for found in estimates)


def _read_table(file: Path) -> Table:
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise _damaged(file.name, "a table as evaluating writes it") from error


def _check_rows(summary: Mapping[str, Any], rows: Table) -> None:
    task = summary["task"]
    columns = ", ".join(NEEDED[task])
    if not rows or any(row.get(name) is None for row in rows for name in NEEDED[task]):
        raise _damaged(PATIENTS, f"rows with the columns {columns}")
    try:
        numbers = {name: [float(row.get(name) or "nan") for row in rows] for name in NUMBERS[task]}
    except ValueError as error:
        raise _damaged(PATIENTS, f"numbers in the columns {', '.join(NUMBERS[task])}") from error
    found, expected = {"patients": len({row["row"] for row in rows})}, {"patients": summary.get("patients")}
    if task == "classification":
        found |= {"positives": int(sum(numbers["label"]))} if set(numbers["label"]) <= {0, 1} else {"positives": -1}
        expected["positives"] = summary.get("positives")
    if found != expected:
        told = " and ".join(f"{count} {name}" for name, count in expected.items())
        raise RefusedError.of("other_patients", PATIENTS, expected=f"the {told} of {METRICS}", got="others")


def _damaged(name: str, expected: str) -> RefusedError:
    return RefusedError.of("damaged_evaluation", name, expected=expected, got="something else")
