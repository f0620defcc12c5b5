"""Risk-coverage curve, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from custom_transforms.evidence.risk_coverage import area_under_risk_coverage, risk_coverage


def test_most_confident_patients_come_first() -> None:
    points = risk_coverage([1, 0, 0, 1], [0.1, 0.9, 0.5, 0.4])  # in order of confidence: right, right, wrong, wrong
    assert [point["coverage"] for point in points] == [0.25, 0.5, 0.75, 1]
    assert [point["patients"] for point in points] == [1, 2, 3, 4]
    assert [point["risk"] for point in points] == pytest.approx([0, 0, 1 / 3, 1 / 2])


def test_patients_of_equal_confidence_are_in_no_order() -> None:
    points = risk_coverage([1, 0, 0], [0.5, 0.5, 0.1])  # either of the first two may be decided alone
    assert [point["risk"] for point in points] == pytest.approx([1 / 2, 1 / 2, 1 / 3])
    assert risk_coverage([0, 1, 0], [0.5, 0.5, 0.1]) == points


def test_area_is_the_mean_risk_for_many_resamples_at_once() -> None:
    random = np.random.RandomState(88)
    errors, confidence = random.randint(0, 2, (5, 12)).astype(float), random.randint(0, 4, (5, 12)) / 4
    expected = [
        np.mean([point["risk"] for point in risk_coverage(*pair)]) for pair in zip(errors, confidence, strict=True)
    ]
    np.testing.assert_allclose(area_under_risk_coverage(errors, confidence), expected)
    np.testing.assert_allclose(area_under_risk_coverage(errors.T, confidence.T, axis=0), expected)
