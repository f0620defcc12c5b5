"""Before and after: what a site's own operating point brings beside the shipped one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custom_transforms.evidence.evidence_files import without_nan, write_json, write_table
from custom_transforms.evidence.held_out import Measures, measure_choice, measure_point
from custom_transforms.evidence.intervals import Estimate
from custom_transforms.evidence.read_evaluation import Evaluation
from custom_transforms.operating_point import OperatingPoint

REPORT = "site_report"


def site_report(evaluation: Evaluation, base: OperatingPoint, point: OperatingPoint) -> dict[str, Any]:
    """Measure the shipped operating point and the site's on the site's cases.

    Args:
        evaluation: of the site's cases.
        base: the shipped operating point.
        point: that which was chosen on these cases; it is measured by cross-validation, since the same patients choose
            and measure.

    Returns:
        plain values: which patients and network, and for `shipped` and `site` the version, threshold, calibration,
        `measured` and `metrics`.
    """
    labels, probs, context = evaluation.labels, evaluation.probs, evaluation.context
    after, parts = measure_choice(labels, probs, rule=point.rule, calibration=point.calibration["kind"])
    how = f"cross-validation in {parts} parts" if parts else "not: one patient of a class cannot choose and measure"
    named = ("note", "bundle", "version", "data_list_sha256", "weights_sha256", "patients", "positives")
    report = {name: context[name] for name in named if name in context}
    report |= {"task": "site recalibration", "date": point.date, "rule": point.rule, "warnings": list(point.warnings)}
    report["shipped"] = _described(base, "on all patients", measure_point(labels, probs, base))
    report["site"] = _described(point, how, after)
    return report


def write_site_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write `site_report.json` and, one measure a row, `site_report.csv`."""
    rows = [
        {"at": name, "measure": measure, **estimate}
        for name in ("shipped", "site")
        for measure, estimate in report[name]["metrics"].items()
    ]
    write_table(folder / f"{REPORT}.csv", [without_nan(row) for row in rows])
    write_json(folder / f"{REPORT}.json", report)


def as_table(columns: Mapping[str, Measures]) -> str:
    """Put measures side by side, each with its 95 % interval, for the screen; `-` where one is not defined."""
    measures = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = [["", *columns]]
    for measure in measures:
        cells = [_cell(column[measure]) if measure in column else "-" for column in columns.values()]
        lines.append([measure.replace("_", " "), *cells])
    widths = [max(map(len, cells)) + 2 for cells in zip(*lines, strict=True)]
    padded = ("".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _cell(estimate: Estimate) -> str:
    value, low, high = (_shown(estimate[name]) for name in ("value", "ci_low", "ci_high"))
    return value if low == high == "-" else f"{value} ({low} to {high})"


def _shown(number: float | None) -> str:
    return "-" if number is None or math.isnan(number) else f"{number:.3f}"


def _described(point: OperatingPoint, measured: str, metrics: Measures) -> dict[str, Any]:
    named = {"operating_point_version": point.content_version(), "threshold": point.threshold}
    return {**named, "calibration": point.calibration, "measured": measured, "metrics": metrics}
