"""The threshold belongs to one network and is never chosen on the test fold."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

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
    sha256 = hashlib.sha256(b"weights").hexdigest()
    return OperatingPoint(threshold=0.3, rule="best F1", split="validation", patients=9, positives=4,
                          date="2026-11-22", version="0.1.0", weights_sha256=sha256,
                          settings={"pooling": "max", "image_size": 64})  # fmt: skip


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
        ({"colour": "red"}, "damaged_operating_point"),
    ],
)
def test_threshold_of_doubtful_origin_is_refused(
    change: dict[str, object], code: str, weights: Path, point: OperatingPoint, tmp_path: Path
) -> None:
    file = tmp_path / "operating_point.json"
    file.write_text(json.dumps(dataclasses.asdict(point) | change))
    with pytest.raises(RefusedError, match=f"^{code}: operating_point.json: expected"):
        read_operating_point(file, weights)


def test_absent_and_cut_files_are_refused(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "operating_point.json"
    with pytest.raises(RefusedError, match="missing_operating_point"):
        read_operating_point(file, weights)
    file.write_text('{"threshold": 0.')
    with pytest.raises(RefusedError, match="damaged_operating_point"):
        read_operating_point(file, weights)


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
