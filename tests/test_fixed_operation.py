"""Sensitivity at a wanted specificity, against a search of all thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from custom_transforms.evidence.fixed_operation import at_fixed, sensitivity_at, specificity_at
from custom_transforms.refusal import RefusedError

RANDOM = np.random.RandomState(88)
LABELS = RANDOM.permutation([1.0] * 10 + [0.0] * 20)
PROBS = RANDOM.randint(0, 12, (8, 30)) / 12  # ties, 0 among them
MANY = np.broadcast_to(LABELS, PROBS.shape)


def by_search(probs: np.ndarray, at_least: float, *, fixed: str) -> float:  # type: ignore[type-arg]
    best = 0.0
    for threshold in [*(np.arange(13) / 12 - 0.01), 2.0]:
        shares = {"sensitivity": (probs >= threshold)[LABELS == 1].mean()}
        shares["specificity"] = (probs < threshold)[LABELS == 0].mean()
        if shares.pop(fixed) >= at_least - 1e-12:
            best = max(best, *shares.values())
    return best


@pytest.mark.parametrize("at_least", [0.05, 0.5, 0.8, 0.9, 0.95, 1.0])
def test_best_of_all_thresholds_is_found(at_least: float) -> None:
    expected = [by_search(probs, at_least, fixed="specificity") for probs in PROBS]
    np.testing.assert_allclose(sensitivity_at(MANY, PROBS, at_least=at_least), expected)
    expected = [by_search(probs, at_least, fixed="sensitivity") for probs in PROBS]
    np.testing.assert_allclose(specificity_at(MANY, PROBS, at_least=at_least), expected)
    np.testing.assert_allclose(specificity_at(MANY.T, PROBS.T, at_least=at_least, axis=0), expected)


@pytest.mark.parametrize("fixed", ["specificity", "sensitivity"])
def test_threshold_does_what_is_said_of_it(fixed: str) -> None:
    found = at_fixed(LABELS, PROBS[0], fixed=fixed, at_least=0.9)
    decisions = PROBS[0] >= found["threshold"]
    shares = {"sensitivity": decisions[LABELS == 1].mean(), "specificity": (~decisions)[LABELS == 0].mean()}
    assert shares[fixed] >= 0.9
    assert shares[found["measure"]] == pytest.approx(found["estimate"]["value"])
    assert found["estimate"]["ci_low"] <= found["estimate"]["value"] <= found["estimate"]["ci_high"]  # type: ignore[operator]
    assert "these very patients" in found["warning"]


def test_highest_probability_of_a_negative_leaves_no_threshold() -> None:
    found = at_fixed([1, 0, 0], [0.9, 1.0, 0.1], fixed="specificity", at_least=1)
    assert (found["estimate"]["value"], np.isnan(found["threshold"])) == (0, True)


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0]])
def test_without_a_class_nothing_is_defined(labels: list[int]) -> None:
    for fixed in ("specificity", "sensitivity"):
        found = at_fixed(labels, [0.2, 0.4, 0.6], fixed=fixed, at_least=0.9)
        assert np.isnan([found["threshold"], found["estimate"]["value"]]).all()


@pytest.mark.parametrize(("fixed", "at_least"), [("auc", 0.9), ("sensitivity", 0), ("specificity", 90)])
def test_what_cannot_be_fixed_is_refused(fixed: str, at_least: float) -> None:
    with pytest.raises(RefusedError, match="bad_fixed: "):
        at_fixed(LABELS, PROBS[0], fixed=fixed, at_least=at_least)
