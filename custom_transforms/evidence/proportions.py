"""Shares of patients, such as sensitivity, with exact intervals."""

from __future__ import annotations

from typing import TypedDict

from numpy.typing import ArrayLike
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from custom_transforms.evidence.intervals import Estimate

CLOPPER_PEARSON = "Clopper-Pearson"


class Confusion(TypedDict):
    """Numbers of patients, by truth and decision."""

    tp: int
    fp: int
    fn: int
    tn: int


def count_decisions(labels: ArrayLike, decisions: ArrayLike) -> Confusion:
    """Count patients by truth and decision, each 0 or 1, `(P,)`."""
    tn, fp, fn, tp = (int(count) for count in confusion_matrix(labels, decisions, labels=[0, 1]).ravel())
    return Confusion(tp=tp, fp=fp, fn=fn, tn=tn)


def proportion(hits: int, total: int) -> Estimate:
    """Estimate a share with its exact 95 % interval (Clopper and Pearson, Biometrika 1934).

    Args:
        hits: how many of them.
        total: of how many; of none the share is NaN, without an interval.
    """
    if total == 0:
        return Estimate(value=float("nan"), ci_low=None, ci_high=None, n=0, method=CLOPPER_PEARSON)
    interval = binomtest(hits, total).proportion_ci(0.95, method="exact")
    low, high = float(interval.low), float(interval.high)
    return Estimate(value=hits / total, ci_low=low, ci_high=high, n=total, method=CLOPPER_PEARSON)


def shares_of(counts: Confusion) -> dict[str, Estimate]:
    """Estimate `sensitivity`, `specificity`, `ppv` and `npv`, the last two at the present share of positives."""
    return {
        "sensitivity": proportion(counts["tp"], counts["tp"] + counts["fn"]),
        "specificity": proportion(counts["tn"], counts["tn"] + counts["fp"]),
        "ppv": proportion(counts["tp"], counts["tp"] + counts["fp"]),
        "npv": proportion(counts["tn"], counts["tn"] + counts["fn"]),
    }
