"""The handler that writes an evaluation: with and without a threshold, and with columns of the data list."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from conftest import CT
from ignite.engine import Engine
from small_points import make_point

from custom_transforms.classifier_report import ClassifierReportHandler
from custom_transforms.evidence.case_columns import case_columns
from custom_transforms.file_hash import file_sha256
from custom_transforms.patient_scores import PatientScores
from custom_transforms.refusal import RefusedError

CASES = [("p1", 1, 0.9, 61), ("p2", 0, 0.2, "48"), ("p3", 1, 0.4, None), ("p4", 0, 0.3, 70)]
SETTINGS = {"pooling": "max"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with weights and the data list of four cases, one without an age."""
    (tmp_path / "model.pt").write_bytes(b"weights")
    items = [{"case": case, "image": f"{case}.nii.gz", "label": label, "age": age} for case, label, _, age in CASES]
    del items[2]["age"]
    (tmp_path / "data_list.json").write_text(json.dumps({"test": items}))
    return tmp_path


def add_point(folder: Path, **changes: Any) -> None:
    point = make_point((folder / "model.pt").read_bytes(), **{"threshold": 0.35, "settings": SETTINGS, **changes})
    point.write(folder / "operating_point.json")


def evaluate(folder: Path, **measures: Any) -> dict[str, Any]:
    metric = PatientScores()
    handler = ClassifierReportHandler(
        metric,
        folder / "eval",
        data_list=folder / "data_list.json",
        fold="test",
        operating_point=folder / "operating_point.json",
        weights=folder / "model.pt",
        origin={"bundle": "a_bundle", "version": "0.1.0", "settings": SETTINGS},
        measures=measures,
        note="Synthetic.",
    )
    engine = Engine(lambda _, batch: batch)
    handler.attach(engine)
    handler.read_files(engine)
    for case, label, prob, _ in CASES:
        metric.update({"case": case, "label": label, "pred": prob})
    handler(engine)
    summary: dict[str, Any] = json.loads((folder / "eval" / "metrics.json").read_text())
    return summary


def test_config_asks_for_what_the_card_says_and_names_its_own_bundle() -> None:
    config = json.loads((CT / "configs" / "evaluate.json").read_text())
    report = next(part for part in config["validate::handlers"] if part["_target_"].endswith("ClassifierReportHandler"))
    assert report["origin"]["bundle"] == CT.name
    assert report["measures"] == {name: f"@{name}" for name in ("prevalences", "fixed", "subgroups")}


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_summary_says_what_was_measured_and_rows_carry_the_columns(folder: Path) -> None:
    add_point(folder)
    summary = evaluate(folder, prevalences=[0.1], fixed={"specificity": [0.5]}, subgroups={"age": [50]})
    assert list(summary)[:4] == ["note", "task", "bundle", "version"]
    assert {name: summary[name] for name in ("task", "bundle", "version", "fold", "patients", "positives")} == {
        "task": "classification", "bundle": "a_bundle", "version": "0.1.0", "fold": "test", "patients": 4,
        "positives": 2}  # fmt: skip
    assert summary["data_list_sha256"] == file_sha256(folder / "data_list.json")
    assert summary["weights_sha256"] == file_sha256(folder / "model.pt")
    assert summary["measures"]["subgroups"] == {"age": [50]}  # to compute all of it again
    assert summary["operating_point"]["threshold"] == 0.35
    assert summary["confusion"] == {"tp": 2, "fp": 0, "fn": 0, "tn": 2}
    assert [group["group"] for group in summary["subgroups"]] == ["below 50", "50 and above", "missing"]
    rows = read_rows(folder / "eval" / "patients.csv")
    assert rows[2] == {"row": "test-0003", "label": "1", "prob": "0.4", "decision": "positive", "age": ""}
    assert [row["age"] for row in rows] == ["61", "48", "", "70"]


def test_calibrated_probability_stands_beside_a_decision_that_it_does_not_change(folder: Path) -> None:
    """A temperature of 2 halves the log odds: of 0.9 to 0.75, of 0.2 to 1/3; of 0.4 and 0.3 both remain above 0.35."""
    add_point(folder)
    plain = evaluate(folder)
    add_point(folder, calibration={"kind": "temperature", "temperature": 2.0})
    summary = evaluate(folder)
    rows = read_rows(folder / "eval" / "patients.csv")
    assert [float(row["calibrated_prob"]) for row in rows[:2]] == pytest.approx([0.75, 1 / 3])
    assert [row["decision"] for row in rows] == ["positive", "negative", "positive", "negative"]
    assert all(float(row["calibrated_prob"]) > 0.35 for row in rows[2:])
    assert summary["confusion"] == plain["confusion"]
    assert summary["metrics"]["brier"]["value"] != plain["metrics"]["brier"]["value"]
    assert summary["operating_point"] == json.loads((folder / "operating_point.json").read_text())


def test_without_an_operating_point_probabilities_are_measured_and_no_decision_is_made(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    summary = evaluate(folder)
    assert summary["operating_point"] is summary["confusion"] is None
    assert set(summary["metrics"]) & {"auc", "sensitivity"} == {"auc"}
    assert "no operating point" in summary["warnings"][0]
    assert "operating_point.json: no operating point" in caplog.text
    assert {row["decision"] for row in read_rows(folder / "eval" / "patients.csv")} == {"none: no operating point"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights_sha256": "0" * 64}, "operating_point_of_other_weights"),
        ({"settings": {"pooling": "mean"}}, "operating_point_of_other_settings"),
        ({"threshold": 7.0}, "damaged_operating_point"),
    ],
)
def test_operating_point_that_is_there_and_wrong_is_still_refused(
    folder: Path, changes: dict[str, Any], reason: str
) -> None:
    add_point(folder, **changes)
    with pytest.raises(RefusedError, match=reason):
        evaluate(folder)


@pytest.mark.parametrize(
    ("measures", "reason"),
    [
        ({"subgroups": {"scanner": None}}, "missing_column: data_list.json: expected a column scanner of the cases"),
        ({"subgroups": {"case": None}}, "identifying_column: data_list.json"),
        ({"subgroups": {"prob": None}}, "taken_column: data_list.json"),
        ({"subgroups": {"age": [50, 40]}}, "bad_bands: age"),
        ({"prevalences": [10]}, "bad_prevalence"),
        ({"fixed": {"auc": [0.9]}}, "bad_fixed"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_first_patient(
    folder: Path, measures: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RefusedError, match=reason):
        evaluate(folder, **measures)
    assert not (folder / "eval").exists()


def test_column_of_anything_but_texts_and_numbers_is_refused(folder: Path) -> None:
    (folder / "data_list.json").write_text(json.dumps({"test": [{"case": "p1", "image": "p1", "age": [1, 2]}]}))
    with pytest.raises(RefusedError, match="bad_column: data_list.json: expected texts or numbers in age"):
        case_columns(folder / "data_list.json", "test", ["age"])


def test_scores_that_need_a_decision_are_nan_without_an_operating_point(tmp_path: Path) -> None:
    metric = PatientScores("sensitivity", operating_point=tmp_path / "none.json", weights=tmp_path / "model.pt")
    for case, label, prob, _ in CASES:
        metric.update({"case": case, "label": label, "pred": prob})
    assert metric.compute() != metric.compute()
