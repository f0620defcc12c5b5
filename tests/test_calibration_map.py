"""Calibration maps: fitted as scikit-learn and a grid would, plain in JSON, finite where the classes are separated."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from custom_transforms.evidence.calibration_map import (
    KINDS,
    SLOPES,
    apply_calibration,
    calibration_warnings,
    fit_calibration,
    require_calibration,
)

Array = NDArray[np.float64]


def overconfident(patients: int = 400, *, slope: float = 2.5, shift: float = 1.0) -> tuple[Array, Array]:
    """Labels drawn from known probabilities, and the probabilities that a network gives: too extreme and too high."""
    random = np.random.default_rng(88)
    log_odds = random.normal(-0.5, 1.5, patients)
    labels = (random.random(patients) < expit(log_odds)).astype(float)
    return labels, expit(slope * log_odds + shift)


def smoothed(labels: Array) -> Array:
    """Platt's targets."""
    positives, negatives = labels.sum(), (1 - labels).sum()
    return np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def mean_loss(probs: Array, targets: Array) -> float:
    return float(-np.mean(targets * np.log(probs) + (1 - targets) * np.log(1 - probs)))


def test_temperature_is_that_of_the_finest_grid() -> None:
    labels, probs = overconfident()
    fitted = fit_calibration("temperature", labels, probs)
    grid = np.linspace(0.5, 8, 7501)
    losses = [mean_loss(expit(logit(probs) / temperature), smoothed(labels)) for temperature in grid]
    assert fitted["temperature"] == pytest.approx(grid[np.argmin(losses)], abs=1e-3)
    assert 2 < fitted["temperature"] < 3.5


def test_platt_is_unpenalised_logistic_regression_on_his_targets() -> None:
    """Each patient twice, once as positive with the target's weight and once as negative with the rest."""
    labels, probs = overconfident()
    fitted = fit_calibration("platt", labels, probs)
    log_odds, targets = logit(probs)[:, None], smoothed(labels)
    twice = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(
        np.vstack([log_odds, log_odds]), np.repeat([1, 0], len(labels)), np.concatenate([targets, 1 - targets])
    )
    assert fitted["slope"] == pytest.approx(twice.coef_[0, 0], abs=1e-4)
    assert fitted["intercept"] == pytest.approx(twice.intercept_[0], abs=1e-4)
    np.testing.assert_allclose(apply_calibration(fitted, probs), twice.predict_proba(log_odds)[:, 1], atol=1e-4)


def test_isotonic_knots_give_what_scikit_learn_predicts_beyond_their_ends_too() -> None:
    labels, probs = overconfident(60)
    knots = json.loads(json.dumps(fit_calibration("isotonic", labels, probs)))
    oracle = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs, labels)
    asked = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(apply_calibration(knots, asked), oracle.predict(asked), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_map_is_plain_and_never_falls(kind: str) -> None:
    labels, probs = overconfident(60)
    fitted = fit_calibration(kind, labels, probs)
    assert json.loads(json.dumps(fitted)) == fitted
    require_calibration(fitted)
    mapped = apply_calibration(fitted, np.linspace(0, 1, 500))
    assert (np.diff(mapped) >= 0).all()
    assert mapped.min() >= 0
    assert mapped.max() <= 1
    np.testing.assert_array_equal(apply_calibration({"kind": "none"}, probs), probs)


@pytest.mark.parametrize("kind", ["temperature", "platt"])
def test_separated_classes_have_a_finite_map(kind: str) -> None:
    """With targets of 0 and 1 ever steeper lines fit ever better; probabilities of 0 and 1 have no finite log odds."""
    fitted = fit_calibration(kind, [0, 0, 0, 1, 1, 1], [0.0, 0.1, 0.2, 0.8, 0.9, 1.0])
    mapped = apply_calibration(fitted, [0.0, 0.5, 1.0])
    assert ((mapped > 0) & (mapped < 1)).all()
    assert calibration_warnings(fitted, 6) == []


@pytest.mark.parametrize("kind", ["temperature", "platt"])
def test_probabilities_that_tell_nothing_or_the_contrary_are_held_at_the_bound_and_said(kind: str) -> None:
    fitted = fit_calibration(kind, [1, 1, 1, 0, 0, 0], [0.01, 0.1, 0.2, 0.8, 0.9, 0.99])
    slope = fitted.get("slope") or 1 / fitted["temperature"]
    assert slope == pytest.approx(SLOPES[0])
    assert "next to nothing" in calibration_warnings(fitted, 6)[0]


def test_isotonic_on_few_patients_is_warned_of() -> None:
    labels, probs = overconfident(1000)
    assert calibration_warnings(fit_calibration("isotonic", labels, probs), 1000) == []
    assert "under 1000" in calibration_warnings(fit_calibration("isotonic", labels[:999], probs[:999]), 999)[0]


@pytest.mark.parametrize(
    ("kind", "labels", "probs"),
    [("spline", [0, 1], [0.1, 0.2]), ("platt", [1, 1], [0.1, 0.2]), ("none", [0, 1], [0.1, float("nan")])],
)
def test_what_cannot_be_fitted_is_said(kind: str, labels: list[int], probs: list[float]) -> None:
    with pytest.raises(ValueError, match="^calibration: expected"):
        fit_calibration(kind, labels, probs)


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"kind": "spline"},
        {"kind": "none", "temperature": 2},
        {"kind": "temperature", "temperature": 0},
        {"kind": "temperature", "temperature": "2"},
        {"kind": "platt", "slope": -1.0, "intercept": 0.0},
        {"kind": "platt", "slope": 1.0, "intercept": float("inf")},
        {"kind": "isotonic", "probability": [], "calibrated": []},
        {"kind": "isotonic", "probability": [0.1, 0.2], "calibrated": [0.5]},
        {"kind": "isotonic", "probability": [0.2, 0.1], "calibrated": [0.5, 0.6]},
        {"kind": "isotonic", "probability": [0.1, 0.2], "calibrated": [0.5, 1.6]},
    ],
)
def test_values_that_are_no_map_are_told_from_one(given: Any) -> None:
    with pytest.raises(ValueError, match="^calibration: expected"):
        require_calibration(given)
