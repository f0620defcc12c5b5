"""DeLong's variance by midranks, against its slow definition and the example of the paper that defines it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from custom_transforms.evidence.delong import auc_difference, auc_interval

# Albumin, total protein, K-G score and outcome of the patients with ovarian cancer in DeLong, DeLong, Clarke-Pearson
# (Biometrics 1988), without the six whose records are incomplete, as SAS gives them in its example of PROC LOGISTIC,
# "Comparing Receiver Operating Characteristic Curves".
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1
3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0
2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0
3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1
3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
ALBUMIN, PROTEIN, SCORE, OUTCOME = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T


def slow_covariance(labels: NDArray[np.float64], scores: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """By comparing every positive with every negative, as the paper defines it."""
    wins = np.array(
        [
            (np.subtract.outer(score[labels == 1], score[labels == 0]) > 0)
            + 0.5 * (np.subtract.outer(score[labels == 1], score[labels == 0]) == 0)
            for score in scores
        ]
    )
    positives, negatives = wins.shape[1:]
    return np.cov(wins.mean(2)) / positives + np.cov(wins.mean(1)) / negatives


@pytest.mark.parametrize("seed", range(5))
def test_interval_and_difference_are_those_of_the_definition_ties_included(seed: int) -> None:
    random = np.random.RandomState(seed)
    labels = random.permutation([0.0, 1.0] * 6 + [1.0] * 15)
    first, second = (np.round(random.normal(labels, 1), 1) for _ in range(2))
    slow = slow_covariance(labels, [first, second])

    found = auc_interval(labels, first)
    apart = auc_difference(labels, first, second)

    error = 1.959964 * slow[0, 0] ** 0.5
    expected = (max(0, found["value"] - error), min(1, found["value"] + error))
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(expected)
    error = (slow[0, 0] + slow[1, 1] - 2 * slow[0, 1]) ** 0.5
    assert apart["value"] == pytest.approx(found["value"] - auc_interval(labels, second)["value"])
    assert apart["ci_high"] == pytest.approx(apart["value"] + 1.959964 * error)
    assert apart["p_value"] == pytest.approx(2 * norm.cdf(-abs(apart["value"] / error)))


@pytest.mark.parametrize(
    ("scores", "area", "low", "high"),
    [(ALBUMIN, 0.7366, 0.5549, 0.9182), (PROTEIN, 0.6478, 0.4518, 0.8439), (10 - SCORE, 0.7258, 0.5243, 0.9273)],
)
def test_published_areas(scores: NDArray[np.float64], area: float, low: float, high: float) -> None:
    found = auc_interval(OUTCOME, scores)
    assert (found["value"], found["ci_low"], found["ci_high"]) == pytest.approx((area, low, high), abs=5e-5)
    assert (found["n"], found["method"]) == (43, "DeLong")


@pytest.mark.parametrize(("scores", "value", "chi_square"), [(ALBUMIN, 0.0108, 0.0127), (PROTEIN, -0.0780, 0.5554)])
def test_published_differences_to_the_score(scores: NDArray[np.float64], value: float, chi_square: float) -> None:
    found = auc_difference(OUTCOME, scores, 10 - SCORE)
    assert found["value"] == pytest.approx(value, abs=5e-5)
    assert found["p_value"] == pytest.approx(2 * norm.sf(chi_square**0.5), abs=5e-4)


def test_perfect_area_has_no_interval_rather_than_one_of_width_0() -> None:
    found = auc_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (found["value"], found["ci_low"], found["ci_high"]) == (1, None, None)


def test_models_that_rank_alike_have_no_p_value() -> None:
    probs = np.array([0.2, 0.6, 0.4, 0.9, 0.1])
    found = auc_difference([0, 0, 1, 1, 1], probs, probs**2)
    assert (found["value"], found["ci_low"], found["p_value"]) == (0, None, None)


@pytest.mark.parametrize(("labels", "defined"), [([1, 1, 1], False), ([0, 0, 0], False), ([1, 0, 0], True)])
def test_class_without_two_patients_has_no_interval(labels: list[int], defined: bool) -> None:
    found = auc_interval(labels, [0.3, 0.2, 0.4])
    assert np.isfinite(found["value"]) == defined
    assert found["ci_low"] is None
