"""How many decisions are wrong among the most confident ones."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Coverage(TypedDict):
    """Share and number of patients that are decided, the most confident first, and the share of them that is wrong."""

    coverage: float
    patients: int
    risk: float


def risk_coverage(errors: ArrayLike, confidence: ArrayLike) -> list[Coverage]:
    """Give the risk-coverage curve: a point for each number of patients from 1 to all.

    Args:
        errors: 1 where the decision about a patient is wrong, 0 where it is right, `(P,)`.
        confidence: higher is surer, `(P,)`; patients with the same share their errors evenly, as in no special order.

    Reference: El-Yaniv and Wiener, Journal of Machine Learning Research 2010.
    """
    risks = _risks(np.asarray(errors, dtype=np.float64), np.asarray(confidence, dtype=np.float64))
    return [
        Coverage(coverage=number / len(risks), patients=number, risk=float(risk))
        for number, risk in enumerate(risks, start=1)
    ]


def area_under_risk_coverage(errors: Array, confidence: Array, axis: int = -1) -> Array:
    """Mean risk over all coverages, `(…)` of `(…, P)`, 0 is best (AURC; Geifman and El-Yaniv, NeurIPS 2017)."""
    area: Array = _risks(np.moveaxis(np.asarray(errors), axis, -1), np.moveaxis(np.asarray(confidence), axis, -1)).mean(
        -1
    )
    return area


def _risks(errors: Array, confidence: Array) -> Array:
    """Risk at each coverage, `(…, P)`."""
    order = np.argsort(-confidence, axis=-1, kind="stable")
    errors, confidence = (np.take_along_axis(part, order, -1) for part in (errors, confidence))
    changes = np.diff(confidence, axis=-1, prepend=confidence[..., :1] + 1) != 0
    group = np.cumsum(changes.ravel()) - 1  # of equal confidence; a row's first patient begins a group
    even = np.bincount(group, errors.ravel()) / np.bincount(group)
    shared = even[group].reshape(errors.shape)
    risks: Array = np.cumsum(shared, axis=-1) / np.arange(1, errors.shape[-1] + 1)
    return risks
