"""The threshold belongs to one network and is never chosen on the test fold."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from small_points import make_point

from custom_transforms.operating_point import OperatingPoint, read_operating_point
from custom_transforms.patient_scores import PatientScores
from custom_transforms.refusal import RefusedError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights")
    return file


@pytest.fixture
def point() -> OperatingPoint:
    calibration = {"kind": "platt", "slope": 0.5, "intercept": -1.0}
    settings = {"pooling": "max", "image_size": 64}
    return make_point(b"weights", threshold=0.3, calibration=calibration, settings=settings, warnings=["a warning"])


def test_what_was_written_is_read(weights: Path, point: OperatingPoint, tmp_path: Path) -> None:
    point.write(tmp_path / "operating_point.json")
    assert read_operating_point(tmp_path / "operating_point.json", weights) == point


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"split": "test"}, "threshold_from_test"),
        ({"weights_sha256": "0" * 64}, "operating_point_of_other_weights"),
        ({"threshold": 1.5}, "damaged_operating_point"),
        ({"threshold": float("nan")}, "damaged_operating_point"),
        ({"split": "training"}, "threshold_from_training"),
        ({"calibration": {"kind": "platt", "slope": -0.5, "intercept": 0.0}}, "damaged_operating_point"),
        ({"calibration": {"kind": "isotonic", "probability": [0.1, 0.2], "calibrated": [0.3, 0.2]}},
         "damaged_operating_point"),
        ({"calibration": {"kind": "spline"}}, "damaged_operating_point"),
    ],
)  # fmt: skip
def test_threshold_of_doubtful_origin_is_refused(
    change: dict[str, Any], code: str, weights: Path, point: OperatingPoint, tmp_path: Path
) -> None:
    file = tmp_path / "operating_point.json"
    file.write_text(json.dumps(dataclasses.replace(point, **change).described()))
    with pytest.raises(RefusedError, match=f"^{code}: operating_point.json: expected"):
        read_operating_point(file, weights)


def test_absent_and_cut_files_are_refused(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "operating_point.json"
    with pytest.raises(RefusedError, match="missing_operating_point"):
        read_operating_point(file, weights)
    for damaged in ('{"threshold": 0.', "[]", "{}", '{"operating_point_version": "0"}'):
        file.write_text(damaged)
        with pytest.raises(RefusedError, match="damaged_operating_point"):
            read_operating_point(file, weights)


def test_file_that_an_earlier_version_wrote_is_refused_with_what_to_do(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "operating_point.json"
    file.write_text('{"threshold": 0.3, "rule": "best F1", "split": "validation", "patients": 9, "positives": 4}')
    with pytest.raises(RefusedError, match=r"^outdated_operating_point: .*scripts/calibrate.py"):
        read_operating_point(file, weights)


def test_file_that_was_edited_is_refused_since_its_version_names_what_it_held(
    weights: Path, point: OperatingPoint, tmp_path: Path
) -> None:
    file = tmp_path / "operating_point.json"
    point.write(file)
    file.write_text(file.read_text().replace('"threshold": 0.3', '"threshold": 0.4'))
    with pytest.raises(RefusedError, match=r"^damaged_operating_point: .* changed since it was written"):
        read_operating_point(file, weights)


def test_version_is_one_for_one_content(point: OperatingPoint) -> None:
    version = point.described()["operating_point_version"]
    assert len(version) == 12
    assert dataclasses.replace(point, settings=dict(reversed(point.settings.items()))).described() == point.described()
    fields = [field.name for field in dataclasses.fields(point) if field.name != "calibration"]
    for name in fields:
        changed = dataclasses.replace(point, **{name: "another"})
        assert changed.described()["operating_point_version"] != version, name


def test_decision_goes_by_the_networks_own_probability(point: OperatingPoint) -> None:
    """Logits of 0.4 and 0.2 are -0.41 and -1.39; half of them less 1 is -1.20 and -1.69."""
    assert [point.decide(prob) for prob in (0.29, 0.3, 0.4)] == ["negative", "positive", "positive"]
    assert [point.calibrated(prob) for prob in (0.4, 0.2)] == pytest.approx([0.2310, 0.1554], abs=5e-4)
    assert dataclasses.replace(point, calibration={"kind": "none"}).calibrated(0.4) is None


def scores(measure: str, **places: object) -> PatientScores:
    metric = PatientScores(measure, **places)  # type: ignore[arg-type]
    for case, (label, prob) in enumerate([(1, 0.9), (0, 0.5), (1, 0.4), (0, 0.1)]):
        metric.update({"case": f"p{case}", "label": label, "pred": prob})
    return metric


def test_scores_use_the_operating_point_and_without_one_their_own_best(
    weights: Path, point: OperatingPoint, tmp_path: Path
) -> None:
    file = tmp_path / "operating_point.json"
    point.write(file)
    fixed = scores("specificity", operating_point=file, weights=weights)
    assert (fixed.compute(), fixed.threshold) == (0.5, 0.3)
    free = scores("specificity")
    assert (free.compute(), free.threshold) == (0.5, 0.25)
    assert scores("auc").compute() == 0.75
    with pytest.raises(ValueError, match="expected one of auc, average_precision, f1, .*, got kappa"):
        PatientScores("kappa")


def test_patient_seen_twice_counts_once_and_nan_is_no_score() -> None:
    metric = scores("auc")
    metric.update({"case": "p0", "label": 1, "pred": 0.9})
    assert metric.compute() == 0.75
    assert len(metric.rows) == 4
    metric.update({"case": "p9", "label": 1, "pred": float("nan")})
    assert metric.compute() != metric.compute()


def test_threshold_belongs_to_pooling_and_preprocessing(weights: Path, point: OperatingPoint, tmp_path: Path) -> None:
    file = tmp_path / "operating_point.json"
    point.write(file)
    assert read_operating_point(file, weights, {"pooling": "max", "image_size": 64}) == point
    expected = "operating_point_of_other_settings: operating_point.json: expected pooling max, .* got mean"
    with pytest.raises(RefusedError, match=expected):
        read_operating_point(file, weights, {"pooling": "mean", "image_size": 64})
    with pytest.raises(RefusedError, match="expected steps None, .* got"):
        read_operating_point(file, weights, {"steps": ["load"]})
