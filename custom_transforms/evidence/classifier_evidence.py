"""All that the table of an evaluation says of a classifier, in plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_transforms.classification import average_precision, f1
from custom_transforms.evidence.calibration import brier, calibration_intercept, calibration_slope
from custom_transforms.evidence.delong import auc_interval
from custom_transforms.evidence.evidence_files import without_nan
from custom_transforms.evidence.fixed_operation import at_fixed
from custom_transforms.evidence.groups import group_patients
from custom_transforms.evidence.intervals import Estimate, patient_interval
from custom_transforms.evidence.predictive_values import at_prevalence
from custom_transforms.evidence.proportions import count_decisions, shares_of
from custom_transforms.evidence.reliability import expected_calibration_error, number_of_bins
from custom_transforms.evidence.risk_coverage import area_under_risk_coverage, risk_coverage
from custom_transforms.evidence.subgroups import Subgroup, measure_subgroups
from custom_transforms.refusal import RefusedError

TABLE = "patients.csv"
NO_DECISION = "no operating point: no decision is made, and nothing is measured that needs one"
Array = NDArray[np.float64]
Rows = Sequence[Mapping[str, Any]]


def classifier_evidence(
    rows: Rows,
    *,
    threshold: float | None,
    prevalences: Sequence[float] = (),
    fixed: Mapping[str, float | Sequence[float]] | None = None,
    subgroups: Mapping[str, Sequence[float] | None] | None = None,
    uncertainty: str | None = None,
) -> dict[str, Any]:
    """Measure a classifier on the rows of `patients.csv`, each measure with its 95 % interval over patients.

    Calibration is that of `calibrated_prob` where every row has one, else of `prob`; all else is of `prob`.

    Args:
        rows: one a patient, with `label`, 0 or 1, `prob`, 0..1, and the columns that are named below;
            numbers may be texts.
        threshold: patients whose `prob` is at or above it are decided positive; None: no decision, and
            no measure of one.
        prevalences: for which PPV and NPV are estimated, each above 0 and below 1.
        fixed: values that `sensitivity` or `specificity` shall at least have, for which the other is estimated.
        subgroups: names of columns, each with the edges of its bands, or None; see `group_patients`.
        uncertainty: column of a number that is lower for a surer decision; the default, None, takes the distance of
            `prob` to the threshold.

    Returns:
        `metrics`, `confusion`, `at_prevalence`, `at_fixed`, `subgroups`, `risk_coverage`, `aurc` and `warnings`; None
        in place of what is not defined.

    Raises:
        RefusedError: no rows, a column that is not there, a label that is not 0 or 1, a `prob` that is none, or a wrong
            prevalence, fixed value or edge.
    """
    labels, probs = _labels(rows), _probabilities(rows, "prob")
    groups = {name: group_patients(name, _values(rows, name), edges) for name, edges in (subgroups or {}).items()}
    found: dict[str, Any] = {"metrics": _of_probabilities(labels, probs, _calibrated(rows, probs))}
    found |= {"confusion": None, "at_prevalence": [], "risk_coverage": [], "aurc": None}
    if threshold is not None:
        decisions = (probs >= threshold).astype(np.float64)
        counts = count_decisions(labels, decisions)
        confidence = -_column(rows, uncertainty) if uncertainty else np.abs(probs - threshold)
        errors = np.abs(decisions - labels)
        found["metrics"] |= {"f1": patient_interval([labels, decisions], f1), **shares_of(counts)}
        found["confusion"] = counts
        found["at_prevalence"] = [at_prevalence(counts, float(prevalence)) for prevalence in prevalences]
        found["risk_coverage"] = risk_coverage(errors, confidence)
        found["aurc"] = patient_interval([errors, confidence], area_under_risk_coverage)
    wanted = [(measure, float(value)) for measure, values in (fixed or {}).items() for value in np.atleast_1d(values)]
    found["at_fixed"] = [at_fixed(labels, probs, fixed=measure, at_least=value) for measure, value in wanted]
    of_columns = [
        measure_subgroups(name, members, labels=labels, probs=probs, threshold=threshold)
        for name, members in groups.items()
    ]
    found["subgroups"] = [group for of_column in of_columns for group in of_column]
    found["warnings"] = _warnings(labels, found, threshold)
    plain: dict[str, Any] = without_nan(found)
    return plain


def _of_probabilities(labels: Array, probs: Array, calibrated: Array) -> dict[str, Estimate]:
    error = patient_interval([labels, calibrated], expected_calibration_error, basic=True)
    error["method"] += f", equal-mass bins: {number_of_bins(len(labels))}"
    return {
        "auc": auc_interval(labels, probs),
        "average_precision": patient_interval([labels, probs], average_precision),
        "brier": patient_interval([labels, calibrated], brier),
        "calibration_slope": patient_interval([labels, calibrated], calibration_slope),
        "calibration_intercept": patient_interval([labels, calibrated], calibration_intercept),
        "expected_calibration_error": error,
    }


def _warnings(labels: Array, found: Mapping[str, Any], threshold: float | None) -> list[str]:
    told = [] if threshold is not None else [NO_DECISION]
    positives, patients = int(labels.sum()), len(labels)
    if positives in (0, patients):
        absent = "positive" if positives == 0 else "negative"
        told.append(f"no {absent} patient among {patients}: AUC and all that needs both classes are not defined")
    elif found["metrics"]["auc"]["ci_low"] is None:
        told.append("AUC: no interval, since DeLong's variance is 0, as at an AUC of 1, or not defined")
    if patients < 3:
        told.append("fewer than 3 patients: too few to resample, so that some measures have no interval")
    elif 0 < positives < patients:
        told += _of_slope(found["metrics"]["calibration_slope"])
    groups: list[Subgroup] = found["subgroups"]
    told += [f"{group['column']}, {group['group']}: {group['warning']}" for group in groups if group["warning"]]
    return told


def _of_slope(slope: Estimate) -> list[str]:
    separated = "a threshold separates the classes or all probabilities are equal"
    if not math.isfinite(slope["value"]):
        return [f"calibration slope: not finite, since {separated}"]
    if not all(bound is not None and math.isfinite(bound) for bound in (slope["ci_low"], slope["ci_high"])):
        return [f"calibration slope: interval without an end, since in many resamples {separated}"]
    return []


def _labels(rows: Rows) -> Array:
    if not rows:
        raise RefusedError.of("no_patients", TABLE, expected="a row for each patient", got="none")
    labels = _column(rows, "label")
    if not set(labels.tolist()) <= {0.0, 1.0}:
        raise RefusedError.of("unknown_label", TABLE, expected="labels 0 or 1", got="others")
    return labels


def _calibrated(rows: Rows, probs: Array) -> Array:
    has_all = all(row.get("calibrated_prob") not in (None, "") for row in rows)
    return _probabilities(rows, "calibrated_prob") if has_all else probs


def _probabilities(rows: Rows, name: str) -> Array:
    probs = _column(rows, name)
    wrong = int((~((probs >= 0) & (probs <= 1))).sum())
    if wrong:
        got = f"something else for {wrong} of {len(rows)} patients"
        raise RefusedError.of("not_a_probability", TABLE, expected=f"{name} in 0..1", got=got)
    return probs


def _column(rows: Rows, name: str) -> Array:
    values = _values(rows, name)
    try:
        return np.array([float(value) for value in values])
    except (TypeError, ValueError) as error:
        raise RefusedError.of("not_a_number", TABLE, expected=f"numbers in the column {name}", got="others") from error


def _values(rows: Rows, name: str) -> list[Any]:
    if any(name not in row for row in rows):
        have = ", ".join(rows[0])
        raise RefusedError.of("missing_column", TABLE, expected=f"the column {name}", got=f"only {have}")
    return [row[name] for row in rows]
