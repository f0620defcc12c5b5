"""Rules of a threshold: compared with every threshold tried one by one, and with cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import recall_score

from custom_transforms.classification import best_f1_threshold
from custom_transforms.evidence.fixed_operation import at_fixed
from custom_transforms.evidence.threshold_rules import require_rule, rule_threshold
from custom_transforms.refusal import RefusedError

LABELS = [0, 0, 1, 0, 1, 1]
PROBS = [0.1, 0.2, 0.3, 0.4, 0.8, 0.9]


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [
        ("best-f1", 0.25),  # finds all three with one false alarm, F1 6/7
        ("youden", 0.25),  # 1 + 2/3 - 1, as at 0.6: the lower one
        ("sensitivity=1", 0.25),
        ("sensitivity=0.95", 0.25),
        ("sensitivity=0.6", 0.6),  # two of three, and no false alarm
        ("specificity=0.9", 0.6),
        ("specificity=0.6", 0.25),  # two of three
        ("specificity=.3", 0.15),
    ],
)
def test_threshold_is_the_one_worked_by_hand(rule: str, threshold: float) -> None:
    assert rule_threshold(rule, LABELS, PROBS) == pytest.approx(threshold)


def sensitivity_and_specificity(labels: list[int], decisions: list[bool]) -> tuple[float, float]:
    return recall_score(labels, decisions), recall_score(labels, decisions, pos_label=0)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_does_better(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = [0, 1, *random.integers(0, 2, 38).tolist()]
    probs = random.random(40).round(1 + seed % 2).tolist()  # with ties
    tried = [sensitivity_and_specificity(labels, [prob >= t for prob in probs]) for t in np.linspace(0, 1.001, 2003)]

    def at(rule: str) -> tuple[float, float]:
        threshold = rule_threshold(rule, labels, probs)
        return sensitivity_and_specificity(labels, [prob >= threshold for prob in probs])

    assert sum(at("youden")) == pytest.approx(max(sum(pair) for pair in tried))
    assert at("sensitivity=0.8")[1] == max(pair[1] for pair in tried if pair[0] >= 0.8)
    assert at("specificity=0.8")[0] == max(pair[0] for pair in tried if pair[1] >= 0.8)
    assert rule_threshold("best-f1", labels, probs) == best_f1_threshold(labels, probs)


@pytest.mark.parametrize("fixed", ["sensitivity", "specificity"])
def test_threshold_is_that_of_the_reports_fixed_operation(fixed: str) -> None:
    found = at_fixed(LABELS, PROBS, fixed=fixed, at_least=0.6)
    assert rule_threshold(f"{fixed}=0.6", LABELS, PROBS) == pytest.approx(found["threshold"])


def test_specificity_may_need_a_threshold_above_everybody_but_not_above_1() -> None:
    assert rule_threshold("specificity=1", [1, 0], [0.2, 0.8]) == pytest.approx(0.9)
    with pytest.raises(RefusedError, match="^unreachable_rule: --rule: expected a threshold with specificity=1"):
        rule_threshold("specificity=1", [1, 0], [0.2, 1.0])


@pytest.mark.parametrize("rule", ["auc", "sensitivity", "sensitivity=0", "specificity=1.1", "sensitivity=0.9x", ""])
def test_unknown_rules_are_refused(rule: str) -> None:
    with pytest.raises(ValueError, match="^rule: expected one of best-f1, youden"):
        require_rule(rule)
