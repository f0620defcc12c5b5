"""What an operating point is worth, and what choosing one is worth on patients that had no part in the choice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from custom_transforms.evidence.calibration import brier, calibration_slope
from custom_transforms.evidence.calibration_map import apply_calibration, fit_calibration
from custom_transforms.evidence.intervals import Estimate, patient_interval
from custom_transforms.evidence.proportions import count_decisions, shares_of
from custom_transforms.evidence.reliability import expected_calibration_error
from custom_transforms.evidence.threshold_rules import rule_threshold
from custom_transforms.operating_point import OperatingPoint

Measures = Mapping[str, Estimate]
FOLDS = 5
SEED = 88


def measure_decisions(labels: NDArray[np.int64], decisions: NDArray[np.bool_]) -> Measures:
    """Estimate sensitivity, specificity, PPV and NPV of decisions `(P,)`."""
    return shares_of(count_decisions(labels, decisions.astype(np.int64)))


def measure_probabilities(labels: NDArray[np.int64], probs: NDArray[np.float64]) -> Measures:
    """Estimate Brier score, calibration slope and expected calibration error of probabilities `(P,)`."""
    samples = [labels, probs]
    return {
        "brier": patient_interval(samples, brier),
        "calibration_slope": patient_interval(samples, calibration_slope),
        "expected_calibration_error": patient_interval(samples, expected_calibration_error, basic=True),
    }


def measure_point(labels: NDArray[np.int64], probs: NDArray[np.float64], point: OperatingPoint) -> Measures:
    """Estimate all of these for patients who are decided on, and calibrated, by an operating point."""
    calibrated = apply_calibration(point.calibration, probs)
    return {**measure_decisions(labels, probs >= point.threshold), **measure_probabilities(labels, calibrated)}


def measure_choice(
    labels: NDArray[np.int64], probs: NDArray[np.float64], *, rule: str, calibration: str
) -> tuple[Measures, int]:
    """Estimate all of these by cross-validation: each patient is decided on by a point that others have chosen.

    An operating point looks too good on the patients that it was chosen on.

    Args:
        labels: 0 or 1 `(P,)`, both of them.
        probs: the network's, `(P,)`, 0..1.
        rule: see `custom_transforms.evidence.threshold_rules`.
        calibration: see `custom_transforms.evidence.calibration_map`.

    Returns:
        the measures, and the number of parts, stratified by label: 5, or as many as there are patients of the rarer
        class; where that is one, no measures and 0.
    """
    parts = min(FOLDS, *np.bincount(labels, minlength=2).tolist())
    if parts < 2:
        return {}, 0
    decisions, calibrated = np.zeros(len(labels), dtype=bool), np.zeros(len(labels))
    for others, part in StratifiedKFold(parts, shuffle=True, random_state=SEED).split(probs, labels):
        decisions[part] = probs[part] >= rule_threshold(rule, labels[others], probs[others])
        fitted = fit_calibration(calibration, labels[others], probs[others])
        calibrated[part] = apply_calibration(fitted, probs[part])
    return {**measure_decisions(labels, decisions), **measure_probabilities(labels, calibrated)}, parts


def compare_choice(labels: NDArray[np.int64], probs: NDArray[np.float64], point: OperatingPoint) -> dict[str, Measures]:
    """Measure the network's own probabilities, the point on the patients that chose it, and choosing on others."""
    held_out, _ = measure_choice(labels, probs, rule=point.rule, calibration=point.calibration["kind"])
    own, same = measure_probabilities(labels, probs), measure_point(labels, probs, point)
    return {"network's own": own, "same patients": same, "cross-validated": held_out}
