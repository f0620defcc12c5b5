"""Compare two models on the same patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from custom_transforms.evidence.delong import auc_difference, auc_interval
from custom_transforms.evidence.evaluation_folder import PATIENTS, EvaluationFolder
from custom_transforms.evidence.evidence_files import read_cases, without_nan
from custom_transforms.refusal import RefusedError

SAME = ("fold", "data_list_sha256")  # row ids number the patients of these
SHORT_HASH = 12  # characters of a hash that a reader compares


def compare_models(this: EvaluationFolder, other: EvaluationFolder) -> dict[str, Any]:
    """Estimate the AUC of the other model, and the difference of both, paired by patient (DeLong).

    Args:
        this: evaluation of a classifier.
        other: evaluation of another one, of the same patients.

    Returns:
        `name` of the other model, and `metrics`, estimates by name.

    Raises:
        RefusedError: other patients, another fold or data list, or no classifiers.
    """
    if {this.summary["task"], other.summary["task"]} != {"classification"}:
        raise RefusedError.of(
            "wrong_task", other.path.name, expected="two evaluations of classifiers", got="another task"
        )
    labels, probs = ({row["row"]: float(row[name]) for row in this.rows} for name in ("label", "prob"))
    other_labels, other_probs = ({row["row"]: float(row[name]) for row in other.rows} for name in ("label", "prob"))
    known = [_cases(folder) for folder in (this.path, other.path)]
    alike = all(this.summary.get(name) == other.summary.get(name) for name in SAME)
    if labels != other_labels or not alike or (all(known) and known[0] != known[1]):
        expected = "an evaluation of the same patients, fold and data list"
        raise RefusedError.of("other_patients", f"{other.path.name}/{PATIENTS}", expected=expected, got="another")
    pair = [[values[row] for row in labels] for values in (labels, probs, other_probs)]
    metrics = {"auc_of_other": auc_interval(pair[0], pair[2]), "auc_difference": auc_difference(*pair)}
    weights = str(other.summary.get("weights_sha256") or "not recorded")[:SHORT_HASH]
    name = f"{other.summary.get('bundle') or 'a network'} {other.summary.get('version') or ''}, weights {weights}"
    compared: dict[str, Any] = without_nan({"name": name, "metrics": metrics})
    return compared


def _cases(folder: Path) -> dict[str, str]:
    """Read whose rows they are; nothing where the key has stayed at home."""
    try:
        return read_cases(folder)
    except (OSError, KeyError):
        return {}
