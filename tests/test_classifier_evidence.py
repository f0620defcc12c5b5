"""What is made of the table of an evaluation, as text or as numbers, and what a wrong table gets."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, f1_score

from custom_transforms.evidence.classifier_evidence import NO_DECISION, classifier_evidence
from custom_transforms.refusal import RefusedError

RANDOM = np.random.RandomState(88)
PROBS = RANDOM.random_sample(60)
LABELS = (RANDOM.random_sample(60) < PROBS).astype(int)
ROWS = [
    {
        "row": f"test-{number:04d}",
        "label": label,
        "prob": prob,
        "decision": "",
        "age": 30 + number,
        "sex": "FM"[number % 2],
    }
    for number, (label, prob) in enumerate(zip(LABELS.tolist(), PROBS.tolist(), strict=True))
]
ASKED: dict[str, Any] = {
    "prevalences": [0.1],
    "fixed": {"specificity": 0.9},
    "subgroups": {"age": [50, 70], "sex": None},
}


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return classifier_evidence(ROWS, threshold=0.4, **ASKED)


def test_every_measure_is_there_with_its_interval_and_method(evidence: dict[str, Any]) -> None:
    methods = {name: estimate["method"] for name, estimate in evidence["metrics"].items()}
    assert methods == {
        "auc": "DeLong",
        "average_precision": "patient bootstrap",
        "brier": "patient bootstrap",
        "calibration_slope": "patient bootstrap",
        "calibration_intercept": "patient bootstrap",
        "expected_calibration_error": "basic patient bootstrap, equal-mass bins: 6",
        "f1": "patient bootstrap",
        "sensitivity": "Clopper-Pearson",
        "specificity": "Clopper-Pearson",
        "ppv": "Clopper-Pearson",
        "npv": "Clopper-Pearson",
    }
    for estimate in evidence["metrics"].values():
        assert estimate["ci_low"] <= estimate["value"] <= estimate["ci_high"]
    assert evidence["metrics"]["f1"]["value"] == pytest.approx(f1_score(LABELS, PROBS >= 0.4))
    assert evidence["metrics"]["brier"]["value"] == pytest.approx(brier_score_loss(LABELS, PROBS))


def test_the_rest_is_what_was_asked_for(evidence: dict[str, Any]) -> None:
    assert sum(evidence["confusion"].values()) == 60
    assert [at["prevalence"] for at in evidence["at_prevalence"]] == [0.1]
    assert [(at["fixed"], at["at_least"], at["measure"]) for at in evidence["at_fixed"]] == [
        ("specificity", 0.9, "sensitivity")
    ]
    found = [(group["column"], group["group"], group["patients"]) for group in evidence["subgroups"]]
    assert found == [
        ("age", "below 50", 20), ("age", "50 to below 70", 20), ("age", "70 and above", 20), ("sex", "F", 30),
        ("sex", "M", 30)]  # fmt: skip
    wrong = float(np.mean((PROBS >= 0.4) != LABELS))
    assert evidence["risk_coverage"][-1] == {"coverage": 1, "patients": 60, "risk": pytest.approx(wrong)}
    assert 0 < evidence["aurc"]["value"] < wrong  # less sure decisions are wrong more often


def test_texts_of_a_csv_give_the_same(evidence: dict[str, Any]) -> None:
    texts = [{name: str(value) for name, value in row.items()} for row in ROWS]
    assert classifier_evidence(texts, threshold=0.4, **ASKED) == evidence


def test_without_a_threshold_nothing_is_said_of_decisions() -> None:
    found = classifier_evidence(ROWS, threshold=None, **ASKED)
    assert not {"f1", "sensitivity", "specificity", "ppv", "npv"} & set(found["metrics"])
    assert (found["confusion"], found["at_prevalence"], found["risk_coverage"]) == (None, [], [])
    assert found["at_fixed"]
    assert NO_DECISION in found["warnings"]


def test_calibrated_probabilities_change_calibration_alone(evidence: dict[str, Any]) -> None:
    rows = [{**row, "calibrated_prob": (0.5 + row["prob"]) / 2} for row in ROWS]
    found = classifier_evidence(rows, threshold=0.4)
    assert found["metrics"]["brier"]["value"] == pytest.approx(brier_score_loss(LABELS, (0.5 + PROBS) / 2))
    assert found["metrics"]["sensitivity"] == evidence["metrics"]["sensitivity"]
    assert found["metrics"]["auc"] == evidence["metrics"]["auc"]


def test_a_column_of_uncertainty_orders_the_curve() -> None:
    rows = [{**row, "spread": float((row["prob"] >= 0.4) != row["label"])} for row in ROWS]  # knows its errors
    found = classifier_evidence(rows, threshold=0.4, uncertainty="spread")
    right = [point["risk"] for point in found["risk_coverage"] if point["risk"] == 0]
    assert len(right) == sum(row["spread"] == 0 for row in rows)


@pytest.mark.parametrize(
    "rows", [ROWS[:1], [{**row, "label": 0} for row in ROWS], [{**row, "label": 1} for row in ROWS]]
)
def test_one_patient_or_one_class_is_a_warning_and_no_number(rows: list[dict[str, Any]]) -> None:
    found = classifier_evidence(rows, threshold=0.4, **ASKED)
    assert found["metrics"]["auc"]["value"] is None
    assert any("no positive patient" in text or "no negative patient" in text for text in found["warnings"])
    json.dumps(found, allow_nan=False)


def test_perfect_network_is_warned_of() -> None:
    rows = [{"label": label, "prob": 0.2 + 0.6 * label} for label in (0, 1) * 10]
    found = classifier_evidence(rows, threshold=0.5)
    assert (found["metrics"]["auc"]["value"], found["metrics"]["auc"]["ci_low"]) == (1, None)
    assert found["metrics"]["calibration_slope"]["value"] is None
    assert [text.partition(":")[0] for text in found["warnings"]] == ["AUC", "calibration slope"]


def test_slope_that_resamples_leave_without_bound_is_warned_of() -> None:
    probs = [0.1, 0.2, 0.3, 0.4, 0.6, 0.5, 0.7, 0.8, 0.9]  # one pair the wrong way round
    rows = [{"label": int(place > 4), "prob": prob} for place, prob in enumerate(probs)]
    found = classifier_evidence(rows, threshold=0.5)
    assert found["metrics"]["calibration_slope"]["value"] > 1
    assert found["metrics"]["calibration_slope"]["ci_high"] is None
    assert [text[:45] for text in found["warnings"]] == ["calibration slope: interval without an end, s"]


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        ([], {}, "no_patients: patients.csv: expected a row for each patient, got none"),
        ([{"label": 2, "prob": 0.5}], {}, "unknown_label: patients.csv: expected labels 0 or 1, got others"),
        ([{"label": 1, "prob": ""}], {}, "not_a_number: patients.csv: expected numbers in the column prob"),
        ([{"label": 1, "prob": "nan"}], {}, r"not_a_probability: .* prob in 0..1, got something else for 1 of 1"),
        (ROWS, {"subgroups": {"scanner": None}}, "missing_column: .* the column scanner, got only row, label, prob"),
        (ROWS, {"uncertainty": "spread"}, "missing_column: patients.csv: expected the column spread"),
        (ROWS, {"prevalences": [3]}, "bad_prevalence"),
    ],
)
def test_wrong_tables_and_questions_are_refused(rows: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        classifier_evidence(rows, threshold=0.4, **options)
