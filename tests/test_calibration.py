"""Calibration measures against scikit-learn and scipy, one resample at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from custom_transforms.evidence.calibration import brier, calibration_intercept, calibration_slope

RANDOM = np.random.RandomState(88)
PROBS = RANDOM.beta(0.8, 0.8, (6, 60))
LABELS = (RANDOM.random_sample((6, 60)) < expit(0.5 + 0.6 * logit(PROBS))).astype(float)


def test_slope_is_that_of_an_unpenalised_logistic_regression() -> None:
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    expected = [model.fit(logit(prob)[:, None], label).coef_[0, 0] for label, prob in zip(LABELS, PROBS, strict=True)]
    np.testing.assert_allclose(calibration_slope(LABELS, PROBS), expected, rtol=1e-4)
    np.testing.assert_allclose(calibration_slope(LABELS.T, PROBS.T, axis=0), expected, rtol=1e-4)


def test_slope_is_found_where_classes_hardly_overlap() -> None:
    odds = np.array([-9, -8, -7, -6, 0.01, 0, 6, 7, 8, 9])  # one pair the wrong way round
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], dtype=float)
    (slope,) = calibration_slope(labels[None], expit(odds)[None])
    intercept = brentq(lambda a: (labels - expit(a + slope * odds)).sum(), -50, 50)
    assert ((labels - expit(intercept + slope * odds)) * odds).sum() == pytest.approx(0, abs=1e-6)  # the score equation


def test_intercept_makes_the_mean_right_with_the_slope_held_at_1() -> None:
    for label, prob, found in zip(LABELS, PROBS, calibration_intercept(LABELS, PROBS), strict=True):
        odds = logit(prob)
        assert found == pytest.approx(brentq(lambda a: expit(a + odds).mean() - label.mean(), -20, 20))  # noqa: B023


def test_brier_score_is_scikit_learns() -> None:
    expected = [brier_score_loss(label, prob) for label, prob in zip(LABELS, PROBS, strict=True)]
    np.testing.assert_allclose(brier(LABELS, PROBS), expected)


def test_probabilities_that_are_too_extreme_or_too_high_are_told() -> None:
    probs = np.repeat([0.2, 0.8], 100)
    labels = np.concatenate([np.arange(100) < 20, np.arange(100) < 80]).astype(float)  # just as predicted
    extreme = expit(2 * logit(probs))
    assert calibration_slope(labels, probs) == pytest.approx(1)
    assert calibration_slope(labels, extreme) == pytest.approx(0.5)
    assert calibration_intercept(labels, expit(logit(probs) + 0.7)) == pytest.approx(-0.7)


@pytest.mark.parametrize(
    ("labels", "probs", "slope"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], np.inf),
        ([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9], np.inf),  # they touch
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], -np.inf),
        ([1, 1, 1, 1], [0.1, 0.2, 0.8, 0.9], np.nan),
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3], np.nan),
    ],
)
def test_separated_classes_have_no_finite_slope(labels: list[int], probs: list[float], slope: float) -> None:
    np.testing.assert_equal(calibration_slope(np.array(labels), np.array(probs)), slope)


def test_probabilities_of_0_and_1_are_clipped() -> None:
    found = calibration_slope(np.array([0.0, 0, 1, 0, 1, 1]), np.array([0.0, 0.3, 0.4, 0.6, 0.7, 1.0]))
    assert np.isfinite(found)
