"""Measures of a decision about patients, against scikit-learn and values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from custom_transforms.classification import auc, average_precision, best_f1_threshold, f1, sensitivity, specificity

LABELS = np.array([1, 0, 1, 1, 0, 0, 1, 0], dtype=float)
PROBS = np.array([0.9, 0.8, 0.7, 0.4, 0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("seed", range(5))
def test_ranking_measures_agree_with_scikit_learn_ties_included(seed: int) -> None:
    random = np.random.RandomState(seed)
    labels = random.randint(0, 2, (4, 30)).astype(float)
    probs = random.randint(0, 8, (4, 30)) / 8
    expected = [metrics.roc_auc_score(*pair) for pair in zip(labels, probs, strict=True)]
    np.testing.assert_allclose(auc(labels, probs), expected)
    np.testing.assert_allclose(auc(labels.T, probs.T, axis=0), expected)
    expected = [metrics.average_precision_score(*pair) for pair in zip(labels, probs, strict=True)]
    np.testing.assert_allclose(average_precision(labels, probs), expected)


def test_measures_of_decisions_agree_with_scikit_learn() -> None:
    decisions = (PROBS >= 0.35).astype(float)
    assert f1(LABELS, decisions) == pytest.approx(metrics.f1_score(LABELS, decisions))
    assert sensitivity(LABELS, decisions) == pytest.approx(metrics.recall_score(LABELS, decisions))
    assert specificity(LABELS, decisions) == pytest.approx(metrics.recall_score(LABELS, decisions, pos_label=0))


def test_what_is_not_defined_is_nan_and_not_a_good_score() -> None:
    ones = np.ones(3)
    assert np.isnan(auc(ones, ones))
    assert np.isnan(average_precision(0 * ones, ones))
    assert np.isnan(specificity(ones, ones))
    assert np.isnan(sensitivity(0 * ones, ones))
    assert np.isnan(best_f1_threshold(ones, [0.1, 0.2, 0.3]))
    assert np.isnan(best_f1_threshold([0, 1], [0.1, np.nan]))


def test_threshold_of_best_f1_beats_every_other() -> None:
    best = best_f1_threshold(LABELS, PROBS)
    every = [float(f1(LABELS, (level <= PROBS).astype(float))) for level in np.linspace(0, 1, 1001)]
    assert float(f1(LABELS, (best <= PROBS).astype(float))) == pytest.approx(max(every))


def test_of_equal_thresholds_the_one_that_misses_fewest_is_taken_half_way_between_patients() -> None:
    # at or below 0.3 the F1 is 2/3 with both positives found; at 0.6 it is 2/3 with one found and none false
    assert best_f1_threshold([1, 0, 0, 1], [0.6, 0.5, 0.4, 0.3]) == pytest.approx(0.15)
    assert best_f1_threshold([0, 1], [0.2, 0.6]) == pytest.approx(0.4)
