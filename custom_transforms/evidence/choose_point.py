"""Choose an operating point on labelled patients."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from custom_transforms.evidence.calibration_map import calibration_warnings, fit_calibration
from custom_transforms.evidence.threshold_rules import rule_threshold
from custom_transforms.operating_point import OperatingPoint
from custom_transforms.refusal import RefusedError

FEW = 10  # of a class; a convention: one patient more or less then moves sensitivity or specificity by a tenth


def choose_point(
    labels: ArrayLike, probs: ArrayLike, *, rule: str, calibration: str, origin: Mapping[str, Any]
) -> OperatingPoint:
    """Choose threshold and calibration map on the same patients.

    Args:
        labels: 0 or 1 `(P,)`.
        probs: the network's, `(P,)`, 0..1.
        rule: see `custom_transforms.evidence.threshold_rules`.
        calibration: see `custom_transforms.evidence.calibration_map`.
        origin: the other attributes of `OperatingPoint`, except date and warnings.

    Raises:
        ValueError: unknown rule or calibration.
        RefusedError: `one_class`, or a rule that no threshold can follow.
    """
    labels, probs = np.asarray(labels), np.asarray(probs, dtype=np.float64)
    positives = int(labels.sum())
    require_both_classes(positives, len(labels))
    threshold, fitted = rule_threshold(rule, labels, probs), fit_calibration(calibration, labels, probs)
    warnings = few_warnings(positives, len(labels)) + calibration_warnings(fitted, len(labels))
    decisions = probs >= threshold
    if decisions.all():
        warnings.append(f"rule {rule}: at this threshold everybody is positive, specificity is 0")
    if not decisions[labels == 1].any():
        warnings.append(f"rule {rule}: at this threshold no positive is found, sensitivity is 0")
    return OperatingPoint(
        threshold=threshold,
        rule=rule,
        patients=len(labels),
        positives=positives,
        calibration=fitted,
        date=datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        warnings=warnings,
        **origin,
    )


def require_both_classes(positives: int, patients: int) -> None:
    """Refuse to choose on one class alone.

    Raises:
        RefusedError: `one_class`.
    """
    if not 0 < positives < patients:
        got = f"{positives} positive of {patients} patients"
        raise RefusedError.of("one_class", "patients.csv", expected="patients with and without the disease", got=got)


def few_warnings(positives: int, patients: int) -> list[str]:
    """Say where there are too few patients of a class."""
    counts = {"positive": positives, "negative": patients - positives}
    few = {name: count for name, count in counts.items() if count < FEW}
    return [f"{name} patients: {count}, under {FEW} a choice says little" for name, count in few.items()]
