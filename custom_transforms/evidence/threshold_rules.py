"""Rules by which a threshold is chosen."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike

from custom_transforms.classification import best_f1_threshold, sensitivity, specificity
from custom_transforms.refusal import RefusedError

RULES = "best-f1, youden, sensitivity=X, specificity=X"
AT_LEAST = re.compile(r"(sensitivity|specificity)=(0?\.\d+|1|1\.0*)")
ROUNDING = 1e-9  # 19 of 20 is at least 0.95


def require_rule(rule: str) -> str:
    """Give a rule back, if it is one.

    Raises:
        ValueError: it is none of `RULES`, with X above 0, up to 1.
    """
    found = AT_LEAST.fullmatch(rule)
    if rule in ("best-f1", "youden") or (found and float(found[2]) > 0):
        return rule
    raise ValueError(f"rule: expected one of {RULES} (X above 0, up to 1), got {rule}")


def rule_threshold(rule: str, labels: ArrayLike, probs: ArrayLike) -> float:
    """Choose a threshold, half-way between two neighbouring probabilities, or beyond the lowest or highest.

    - `best-f1`: the highest F1; of several thresholds the lowest, which misses the fewest positives.
    - `youden`: the highest sensitivity + specificity - 1 (Youden, Cancer 1950); of several the lowest.
    - `sensitivity=0.95`: sensitivity is at least that; of all such the highest threshold, with the best specificity.
    - `specificity=0.9`: specificity is at least that; of all such the lowest threshold, with the best sensitivity.

    Args:
        rule: one of these.
        labels: 0 or 1 `(P,)`, both of them.
        probs: `(P,)`, finite, 0..1; patients at or above the threshold are positive.

    Raises:
        ValueError: another rule.
        RefusedError: `unreachable_rule`, no threshold up to 1 has that specificity, since negatives have probability 1.
    """
    if require_rule(rule) == "best-f1":
        return best_f1_threshold(labels, probs)
    labels, probs = np.asarray(labels, dtype=np.float64), np.asarray(probs, dtype=np.float64)
    levels = np.concatenate([[0.0], np.unique(probs), [1.0]])
    candidates = (levels[:-1] + levels[1:]) / 2  # the last is 1 where a probability is 1
    decisions = (probs >= candidates[:, None]).astype(np.float64)
    truth = np.broadcast_to(labels, decisions.shape)
    found = {"sensitivity": sensitivity(truth, decisions), "specificity": specificity(truth, decisions)}
    if rule == "youden":
        youden = found["sensitivity"] + found["specificity"]
        return float(candidates[np.flatnonzero(youden >= youden.max() - ROUNDING)[0]])
    measure, _, at_least = rule.partition("=")
    reached = np.flatnonzero(found[measure] >= float(at_least) - ROUNDING)
    if not len(reached):
        raise RefusedError.of("unreachable_rule", "--rule", expected=f"a threshold with {rule}", got="none up to 1")
    return float(candidates[reached[-1 if measure == "sensitivity" else 0]])
