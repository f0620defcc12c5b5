from __future__ import annotations

import numpy as np
import pytest

from custom_transforms.evidence.agreement import METHOD, bland_altman

# Bland and Altman, Lancet 1986, table 1: peak expiratory flow of 17 people, l/min, by a large and by a mini meter.
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_published_example() -> None:
    found = bland_altman(LARGE, MINI)
    bias, low, high = found["bias"], found["lower_limit"], found["upper_limit"]
    assert (round(bias["value"], 1), round(bias["ci_low"], 1), round(bias["ci_high"], 1)) == (-2.1, -22.0, 17.8)
    # standard deviation 38.8; they took 2 of them, we 1.96
    assert (low["value"], high["value"]) == pytest.approx((-2.1 - 1.96 * 38.8, -2.1 + 1.96 * 38.8), abs=0.1)
    # about each limit -114.3 to -45.1 and 40.9 to 110.1, with sqrt(3 / n) as an approximation
    for limit in (low, high):
        assert limit["ci_high"] - limit["ci_low"] == pytest.approx(110.1 - 40.9, abs=0.5)
    assert (bias["n"], bias["method"]) == (17, METHOD)


def test_limits_hold_95_percent_of_normal_differences_and_their_intervals_the_true_limit() -> None:
    rng = np.random.default_rng(4)
    studies = [bland_altman(rng.normal(3, 2, 20), np.zeros(20)) for _ in range(400)]
    covered = [one["upper_limit"]["ci_low"] <= 3 + 1.96 * 2 <= one["upper_limit"]["ci_high"] for one in studies]
    assert 0.92 < np.mean(covered) < 0.98


def test_few_patients() -> None:
    none, one, two = (bland_altman([5.0] * count, [3.0] * count) for count in range(3))
    assert np.isnan(none["bias"]["value"])
    assert (one["bias"]["value"], one["bias"]["ci_low"]) == (2, None)
    assert np.isnan(one["upper_limit"]["value"])
    assert (two["upper_limit"]["value"], two["upper_limit"]["ci_low"]) == (2, None)
