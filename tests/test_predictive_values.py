"""Predictive values at a prevalence, against a published example and a bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from custom_transforms.evidence.predictive_values import at_prevalence
from custom_transforms.evidence.proportions import Confusion
from custom_transforms.refusal import RefusedError


def test_published_example() -> None:
    """The 70-gene signature of Mercaldo, Lau, Zhou, with the digits that the R package CIfinder prints for it."""
    found = at_prevalence(Confusion(tp=31, fp=12, fn=3, tn=32), 0.07)
    ppv, npv = found["ppv"], found["npv"]
    assert (ppv["value"], ppv["ci_low"], ppv["ci_high"]) == pytest.approx((0.2010444, 0.1331384, 0.2919216), abs=1e-7)
    assert (npv["value"], npv["ci_low"], npv["ci_high"]) == pytest.approx((0.9909508, 0.9734141, 0.9969560), abs=1e-7)
    assert (ppv["method"], ppv["n"]) == ("logit", 78)


def test_interval_is_near_that_of_a_bootstrap_of_both_classes() -> None:
    random, prevalence = np.random.RandomState(88), 0.1
    hit, right = random.binomial(300, 0.8, 20_000) / 300, random.binomial(400, 0.9, 20_000) / 400
    npv = right * (1 - prevalence) / (right * (1 - prevalence) + (1 - hit) * prevalence)
    found = at_prevalence(Confusion(tp=240, fp=40, fn=60, tn=360), prevalence)["npv"]
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(tuple(np.percentile(npv, [2.5, 97.5])), abs=1e-3)


def test_perfect_specificity_still_has_an_interval_and_it_holds_the_value() -> None:
    found = at_prevalence(Confusion(tp=53, fp=0, fn=4, tn=113), 0.017)["ppv"]
    assert (found["value"], found["ci_high"], found["method"]) == (1, 1, "adjusted logit")
    hit, alarm = (53 + 1.92073) / (57 + 3.84146), 1.92073 / (113 + 3.84146)  # by hand, half of 1.96 squared added
    odds = hit * 0.017 / (alarm * 0.983)
    error = ((1 - hit) / hit / 60.84146 + (1 - alarm) / alarm / 116.84146) ** 0.5
    low = odds * np.exp(-1.959964 * error)
    assert found["ci_low"] == pytest.approx(low / (1 + low), rel=1e-4)


def test_without_a_class_or_without_such_a_decision_there_is_no_value() -> None:
    for counts in (Confusion(tp=3, fp=0, fn=1, tn=0), Confusion(tp=0, fp=0, fn=5, tn=5)):
        ppv = at_prevalence(counts, 0.1)["ppv"]
        assert np.isnan(ppv["value"])
        assert ppv["ci_low"] is None


@pytest.mark.parametrize("prevalence", [0, 1, -0.1, 10, float("nan")])
def test_what_is_no_prevalence_is_refused(prevalence: float) -> None:
    with pytest.raises(RefusedError, match="bad_prevalence: prevalences: expected a share above 0 and below 1, got"):
        at_prevalence(Confusion(tp=1, fp=1, fn=1, tn=1), prevalence)
