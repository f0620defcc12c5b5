"""Calibration maps: from the network's probability to one that can be read as a frequency of the disease.

A map is plain values that JSON holds, so that it is read without this package: `{"kind": "none"}`,
`{"kind": "temperature", "temperature": 1.6}`, `{"kind": "platt", "slope": 0.6, "intercept": -1.2}` or
`{"kind": "isotonic", "probability": [0.1, 0.7], "calibrated": [0.0, 0.9]}`. None of them changes who is more suspicious
than whom, but an isotonic map has plateaus, so decisions are made on the network's own probability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

Array = NDArray[np.float64]
Calibration = Mapping[str, Any]

KINDS = ("none", "temperature", "platt", "isotonic")
LEAST_PROB = 1e-7  # about the step of float32 below 1, in which the network's probabilities are; a logit of 16
SLOPES = (0.05, 20.0)  # temperatures of 20 to 0.05: beyond, the fit says nothing of probabilities
# Niculescu-Mizil and Caruana, Predicting Good Probabilities With Supervised Learning, ICML 2005
ENOUGH_FOR_ISOTONIC = 1000


def fit_calibration(kind: str, labels: ArrayLike, probs: ArrayLike) -> Calibration:
    """Fit a map to patients.

    `temperature` divides the logit by one number (Guo et al., On Calibration of Modern Neural Networks, ICML 2017),
    `platt` gives it a slope and an intercept (Platt, Probabilistic Outputs for Support Vector Machines, 1999), both by
    maximum likelihood with Platt's targets, (P + 1) / (P + 2) and 1 / (N + 2) in the place of 1 and 0: with 1 and 0
    there is no maximum where the classes are separated. `isotonic` is the best map that never falls (Zadrozny and
    Elkan, KDD 2002).

    Args:
        kind: one of `KINDS`.
        labels: 0 or 1 `(P,)`, both of them.
        probs: the network's, `(P,)`, 0..1.

    Raises:
        ValueError: unknown kind, one class alone, or a probability that is not 0..1.
    """
    labels, probs = np.asarray(labels, dtype=np.float64), np.asarray(probs, dtype=np.float64)
    if kind not in KINDS:
        raise ValueError(f"calibration: expected one of {', '.join(KINDS)}, got {kind}")
    if set(labels.tolist()) != {0.0, 1.0} or not ((probs >= 0) & (probs <= 1)).all():
        raise ValueError("calibration: expected labels 0 and 1, both of them, and probabilities 0..1")
    if kind == "temperature":
        slope, _ = _fit_line(labels, probs, with_intercept=False)
        return {"kind": kind, "temperature": 1 / slope}
    if kind == "platt":
        slope, intercept = _fit_line(labels, probs, with_intercept=True)
        return {"kind": kind, "slope": slope, "intercept": intercept}
    if kind == "isotonic":
        from sklearn.isotonic import IsotonicRegression  # only fitting needs it, and it takes a second

        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs, labels)
        knots = {"probability": fitted.X_thresholds_.tolist(), "calibrated": fitted.y_thresholds_.tolist()}
        return {"kind": kind, **knots}
    return {"kind": kind}


def apply_calibration(calibration: Calibration, probs: ArrayLike) -> Array:
    """Map the network's probabilities `(…)` to calibrated ones; the map `none` gives them as they are."""
    probs = np.asarray(probs, dtype=np.float64)
    kind = calibration["kind"]
    if kind == "temperature":
        return np.asarray(expit(_logits(probs) / calibration["temperature"]))
    if kind == "platt":
        return np.asarray(expit(calibration["slope"] * _logits(probs) + calibration["intercept"]))
    if kind == "isotonic":
        return np.asarray(np.interp(probs, calibration["probability"], calibration["calibrated"]))
    return probs


def calibration_warnings(calibration: Calibration, patients: int) -> list[str]:
    """Say what is doubtful of a map that was fitted to so many patients."""
    kind = calibration["kind"]
    if kind == "isotonic" and patients < ENOUGH_FOR_ISOTONIC:
        return [f"isotonic calibration on {patients} patients: under {ENOUGH_FOR_ISOTONIC} it learns them by heart"]
    slope = 1 / calibration["temperature"] if kind == "temperature" else calibration.get("slope", 1)
    if slope <= SLOPES[0] * 1.001:
        return [f"{kind} calibration is at its bound: the probabilities tell next to nothing of these patients"]
    if slope >= SLOPES[1] * 0.999:
        return [f"{kind} calibration is at its bound: all probabilities of these patients are close to each other"]
    return []


def require_calibration(calibration: object) -> None:
    """Check that plain values are a map.

    Raises:
        ValueError: they are none, or one that falls.
    """
    given = calibration if isinstance(calibration, Mapping) else {}
    names = {"temperature": {"temperature"}, "platt": {"slope", "intercept"}, "isotonic": {"probability", "calibrated"}}
    numbers = {name: value for name, value in given.items() if name != "kind"}
    if given.get("kind") not in KINDS or numbers.keys() != names.get(given["kind"], set()):
        raise ValueError("calibration: expected a map of a known kind with its numbers")
    if given["kind"] == "isotonic":
        sound = _rising(numbers["probability"]) and _rising(numbers["calibrated"])
        sound = sound and len(numbers["probability"]) == len(numbers["calibrated"]) > 0
    else:
        sound = all(_number(value) for value in numbers.values())
        sound = sound and all(value > 0 for name, value in numbers.items() if name != "intercept")
    if not sound:
        raise ValueError(f"calibration: expected finite numbers and a map that rises, got another {given['kind']}")


def _fit_line(labels: Array, probs: Array, *, with_intercept: bool) -> tuple[float, float]:
    """Fit slope, within `SLOPES`, and intercept of the logit; the mean loss is convex in both."""
    logits, positives = _logits(probs), labels.sum()
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))

    def loss_and_gradient(line: Array) -> tuple[float, Array]:
        z = line[0] * logits + (line[1] if with_intercept else 0)
        residual = expit(z) - targets
        gradient = [np.mean(residual * logits), np.mean(residual)]
        return float(np.mean(np.logaddexp(0, z) - targets * z)), np.array(gradient[: len(line)])

    start, bounds = ([1.0, 0.0], [SLOPES, (None, None)]) if with_intercept else ([1.0], [SLOPES])
    tight = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=tight).x
    return float(found[0]), float(found[1]) if with_intercept else 0.0


def _logits(probs: Array) -> Array:
    return np.asarray(logit(np.clip(probs, LEAST_PROB, 1 - LEAST_PROB)))


def _rising(values: object) -> bool:
    """Are these numbers 0..1 that never fall?"""
    if not isinstance(values, Sequence) or not all(_number(value) and 0 <= value <= 1 for value in values):
        return False
    return all(later >= earlier for earlier, later in pairwise(values))


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
