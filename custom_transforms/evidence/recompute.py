"""Work out an evaluation again from its tables, without images, network or GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from custom_transforms.evidence.classifier_evidence import classifier_evidence
from custom_transforms.evidence.compare_models import compare_models
from custom_transforms.evidence.evaluation_folder import METRICS, EvaluationFolder, read_evaluation_folder
from custom_transforms.evidence.evidence_files import without_nan, write_json
from custom_transforms.evidence.segmenter_evidence import segmenter_evidence
from custom_transforms.evidence.write_report import draw_report, save_report
from custom_transforms.refusal import RefusedError


def recompute(
    folder: Path,
    *,
    prevalences: Sequence[float] | None = None,
    subgroups: Mapping[str, Sequence[float] | None] | None = None,
    compare_with: Path | None = None,
) -> Path:
    """Rewrite `metrics.json`, figures and page; what is refused changes nothing.

    Args:
        folder: of the evaluation.
        prevalences: for predictive values of a classifier; the default, None, keeps those of the evaluation.
        subgroups: columns of its `patients.csv`, each with edges of bands or None; the default keeps them likewise.
        compare_with: folder of another classifier's evaluation of the same patients.

    Returns:
        path of the page.

    Raises:
        RefusedError: see `read_evaluation_folder`, `classifier_evidence`, `segmenter_evidence` and `compare_models`;
            or a segmenter is asked for what only a classifier has.
    """
    found = read_evaluation_folder(folder)
    asked = {"prevalences": prevalences, "subgroups": subgroups}
    summary = {name: part for name, part in found.summary.items() if name != "comparison"}
    if summary["task"] == "classification":
        summary |= _of_classifier(found, {name: value for name, value in asked.items() if value is not None})
    elif any(value is not None for value in (*asked.values(), compare_with)):
        expected = "a classifier for prevalences, sub-groups and comparison"
        raise RefusedError.of("wrong_task", METRICS, expected=expected, got="a segmenter")
    else:
        summary |= _of_segmenter(found)
    if compare_with is not None:
        summary["comparison"] = compare_models(found, read_evaluation_folder(compare_with))
    report = draw_report(replace(found, summary=summary))
    write_json(folder / METRICS, summary)
    return save_report(report, folder)


def _of_classifier(found: EvaluationFolder, asked: Mapping[str, Any]) -> dict[str, Any]:
    measures = {**(found.summary.get("measures") or {}), **asked}
    threshold = (found.summary.get("operating_point") or {}).get("threshold")
    return {"measures": measures, **classifier_evidence(found.rows, threshold=threshold, **measures)}


def _of_segmenter(found: EvaluationFolder) -> dict[str, Any]:
    settings = found.summary.get("settings") or {}
    edges = {"edges_ml": settings["lesion_strata_ml"]} if "lesion_strata_ml" in settings else {}
    measured: dict[str, Any] = without_nan(segmenter_evidence(found.rows, found.lesions, **edges))
    return measured
