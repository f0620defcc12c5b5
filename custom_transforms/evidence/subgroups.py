"""The same measures in groups of patients, by age, sex, scanner or whatever the user's table has."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from custom_transforms.evidence.delong import auc_interval
from custom_transforms.evidence.groups import Groups
from custom_transforms.evidence.intervals import Estimate
from custom_transforms.evidence.proportions import count_decisions, shares_of

# A convention. Studies that validate a model externally should have 100 of each class (Collins et al., Statistics in
# Medicine 2016); below 10 the exact interval of a share of one half is wider than half of the scale.
FEW = 10
Array = NDArray[np.float64]


class Subgroup(TypedDict):
    """One group of a column, with AUC, and sensitivity and specificity where there are decisions."""

    column: str
    group: str
    patients: int
    positives: int
    metrics: dict[str, Estimate]
    warning: str


def measure_subgroups(
    column: str, groups: Groups, *, labels: Array, probs: Array, threshold: float | None
) -> list[Subgroup]:
    """Measure each group of a column.

    Args:
        column: its name.
        groups: who is in which; see `group_patients`.
        labels: 0 or 1, `(P,)`.
        probs: 0..1, `(P,)`.
        threshold: patients at or above it are decided positive; None: no decisions.
    """
    return [_measure(column, group, labels[members], probs[members], threshold) for group, members in groups.items()]


def _measure(column: str, group: str, labels: Array, probs: Array, threshold: float | None) -> Subgroup:
    metrics = {"auc": auc_interval(labels, probs)}
    if threshold is not None:
        shares = shares_of(count_decisions(labels, probs >= threshold))
        metrics |= {name: shares[name] for name in ("sensitivity", "specificity")}
    positives = int(labels.sum())
    return Subgroup(
        column=column,
        group=group,
        patients=len(labels),
        positives=positives,
        metrics=metrics,
        warning=_too_few(positives, len(labels) - positives),
    )


def _too_few(positives: int, negatives: int) -> str:
    if min(positives, negatives) >= FEW:
        return ""
    return f"too few to judge: {positives} positive, {negatives} negative; {FEW} of each are the least"
