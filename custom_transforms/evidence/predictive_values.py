"""What a decision is worth where the disease is as frequent as the user says."""

from __future__ import annotations

from typing import TypedDict

from scipy.special import expit, logit

from custom_transforms.evidence.delong import Z95
from custom_transforms.evidence.intervals import Estimate
from custom_transforms.evidence.proportions import Confusion
from custom_transforms.refusal import RefusedError

LOGIT, ADJUSTED = "logit", "adjusted logit"


class AtPrevalence(TypedDict):
    """Predictive values at one prevalence, 0..1."""

    prevalence: float
    ppv: Estimate
    npv: Estimate


def at_prevalence(counts: Confusion, prevalence: float) -> AtPrevalence:
    """Estimate predictive values at a prevalence, which is taken as known, from sensitivity and specificity by Bayes.

    Intervals are symmetric in the log odds. Where sensitivity or specificity is 0 or 1 these are infinite; then
    half of 1.96 squared is added to hits and misses of both, and the interval is made to hold the value.

    Args:
        counts: patients by truth and decision, from any mix of both classes.
        prevalence: share of the diseased among those who are examined, above 0 and below 1.

    Returns:
        `ppv` and `npv`; NaN without intervals where a class is absent.

    Raises:
        RefusedError: another prevalence.

    Reference: Mercaldo, Lau, Zhou, Statistics in Medicine 2007, equations 8 to 11 and table II.
    """
    if not 0 < prevalence < 1:
        raise RefusedError.of(
            "bad_prevalence", "prevalences", expected="a share above 0 and below 1", got=f"{prevalence}"
        )
    npv_counts = Confusion(tp=counts["tn"], fp=counts["fn"], fn=counts["fp"], tn=counts["tp"])
    return AtPrevalence(
        prevalence=prevalence, ppv=_predictive(counts, prevalence), npv=_predictive(npv_counts, 1 - prevalence)
    )


def _predictive(counts: Confusion, prevalence: float) -> Estimate:
    """Estimate the PPV; the NPV is that of the classes exchanged."""
    positives, negatives = counts["tp"] + counts["fn"], counts["tn"] + counts["fp"]
    estimate = Estimate(value=float("nan"), ci_low=None, ci_high=None, n=positives + negatives, method=LOGIT)
    if not positives or not negatives:
        return estimate
    found = counts["tp"] / positives * prevalence
    false = counts["fp"] / negatives * (1 - prevalence)
    estimate["value"] = value = found / (found + false) if found + false else float("nan")
    adjust = Z95**2 / 2 if 0 in counts.values() else 0.0
    estimate["method"] = ADJUSTED if adjust else LOGIT
    hit = (counts["tp"] + adjust) / (positives + 2 * adjust)
    alarm = (counts["fp"] + adjust) / (negatives + 2 * adjust)
    middle = logit(hit * prevalence / (hit * prevalence + alarm * (1 - prevalence)))
    error = ((1 - hit) / (hit * (positives + 2 * adjust)) + (1 - alarm) / (alarm * (negatives + 2 * adjust))) ** 0.5
    low, high = float(expit(middle - Z95 * error)), float(expit(middle + Z95 * error))
    if value == value:  # else nobody was decided so
        estimate["ci_low"], estimate["ci_high"] = min(low, value), max(high, value)
    return estimate
