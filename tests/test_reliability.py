"""Bins of a reliability diagram and the error over them, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from custom_transforms.evidence.intervals import patient_interval
from custom_transforms.evidence.reliability import expected_calibration_error, number_of_bins, reliability_points

RANDOM = np.random.RandomState(88)
PROBS = RANDOM.random_sample((3, 50))
LABELS = (RANDOM.random_sample((3, 50)) < PROBS**2).astype(float)


def test_error_is_the_mean_distance_over_bins_of_equally_many() -> None:
    expected = []
    for label, prob in zip(LABELS, PROBS, strict=True):
        bins = np.split(np.argsort(prob), 5)  # 50 patients: 5 bins of 10
        expected.append(sum(10 * abs(prob[bin_].mean() - label[bin_].mean()) for bin_ in bins) / 50)
    np.testing.assert_allclose(expected_calibration_error(LABELS, PROBS), expected)
    np.testing.assert_allclose(expected_calibration_error(LABELS.T, PROBS.T, axis=0), expected)


def test_points_are_the_bins_with_exact_intervals() -> None:
    points = reliability_points(LABELS[0], PROBS[0])
    assert [point["patients"] for point in points] == [10] * 5
    assert [point["mean_prob"] for point in points] == sorted(point["mean_prob"] for point in points)
    assert all(point["ci_low"] <= point["observed"] <= point["ci_high"] for point in points)  # type: ignore[operator]
    error = np.mean([abs(point["observed"] - point["mean_prob"]) for point in points])
    assert error == pytest.approx(expected_calibration_error(LABELS[0], PROBS[0]))


@pytest.mark.parametrize(("patients", "bins"), [(1, 1), (19, 1), (20, 2), (99, 9), (5000, 10)])
def test_few_patients_get_few_bins(patients: int, bins: int) -> None:
    assert number_of_bins(patients) == bins


def test_equal_probabilities_stay_together_in_any_order() -> None:
    probs, labels = np.repeat([0.2, 0.7], [35, 15]), np.arange(50) % 2
    order = np.random.RandomState(1).permutation(50)
    assert [point["patients"] for point in reliability_points(labels, probs)] == [35, 15]
    assert reliability_points(labels[order], probs[order]) == reliability_points(labels, probs)


def test_interval_of_the_error_of_right_probabilities_reaches_down() -> None:
    labels = (np.random.RandomState(3).random_sample(200) < np.linspace(0.05, 0.95, 200)).astype(float)
    samples = [labels, np.linspace(0.05, 0.95, 200)]
    plain, basic = (
        patient_interval(samples, expected_calibration_error, basic=basic, seed=1) for basic in (False, True)
    )
    assert basic["ci_low"] < plain["ci_low"]  # type: ignore[operator]
    assert 0 <= basic["ci_low"] <= basic["value"] <= basic["ci_high"]  # type: ignore[operator]
    assert basic["method"] == "basic patient bootstrap"
