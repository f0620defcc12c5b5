"""Exact intervals of shares, against the quantiles of the beta distribution that define them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from custom_transforms.evidence.proportions import count_decisions, proportion, shares_of


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (3, 10), (81, 263), (10, 10)])
def test_interval_is_clopper_and_pearsons(hits: int, total: int) -> None:
    found = proportion(hits, total)
    low = beta.ppf(0.025, hits, total - hits + 1) if hits else 0
    high = beta.ppf(0.975, hits + 1, total - hits) if hits < total else 1
    assert (found["value"], found["n"], found["method"]) == (hits / total, total, "Clopper-Pearson")
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((low, high))


def test_share_of_nobody_is_not_defined() -> None:
    found = proportion(0, 0)
    assert np.isnan(found["value"])
    assert (found["ci_low"], found["ci_high"], found["n"]) == (None, None, 0)


def test_shares_are_of_those_whom_they_are_about() -> None:
    counts = count_decisions([1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0])
    assert counts == {"tp": 2, "fp": 1, "fn": 1, "tn": 3}
    found = {name: (share["value"], share["n"]) for name, share in shares_of(counts).items()}
    assert found == {
        "sensitivity": (2 / 3, 3),
        "specificity": (3 / 4, 4),
        "ppv": (2 / 3, 3),
        "npv": (3 / 4, 4),
    }
