from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from custom_transforms.evidence.evidence_files import read_cases
from custom_transforms.evidence.intervals import BOOTSTRAP, patient_interval
from custom_transforms.evidence.segmenter_evidence import summarise
from custom_transforms.patient_metrics import PatientMetrics, one_a_patient
from custom_transforms.patient_report import PatientReportHandler
from custom_transforms.threshold_baseline import THRESHOLDS, ThresholdBaseline, threshold_dice

REGIONS = ["TC", "WT"]


def bar(length: int) -> torch.Tensor:
    """Two regions of `length` voxels each."""
    mask = torch.zeros(2, 10, 4, 3)
    mask[:, :length, 0, 0] = 1
    return mask


def engine_with(**patients: tuple[torch.Tensor, torch.Tensor]) -> Any:
    """Stand for an evaluator after one batch of `case=(prediction, truth)`."""
    batch = [{"case": case, "image": torch.ones(4, 10, 4, 3)} for case in patients]
    output = [{"pred": MetaTensor(pred, affine=torch.eye(4)), "label": truth} for pred, truth in patients.values()]
    return SimpleNamespace(state=SimpleNamespace(batch=batch, output=output))


def test_mean_dice_counts_each_patient_and_region_once() -> None:
    metric = PatientMetrics(REGIONS)
    for _ in range(2):  # the second time as a data-parallel sampler repeats patients
        metric.iteration_completed(engine_with(a=(bar(4), bar(4)), b=(bar(2), bar(6))))
    assert metric.compute() == pytest.approx((1 + 0.5) / 2)
    assert [(row["case"], row["region"], row["tp"], row["fn"]) for row in metric.rows] == [
        ("a", "TC", 4, 0), ("a", "WT", 4, 0), ("b", "TC", 2, 4), ("b", "WT", 2, 4)
    ]  # fmt: skip


def test_rows_come_in_order_of_cases() -> None:
    rows = [{"case": "b", "region": "WT"}, {"case": "b", "region": "ET"}, {"case": "a", "region": "WT"}]
    assert [(row["case"], row["region"]) for row in one_a_patient(rows)] == [("a", "WT"), ("b", "WT"), ("b", "ET")]


def test_pooled_values_by_hand() -> None:
    metric = PatientMetrics(["TC"])
    for case, (pred, truth) in {"a": (4, 4), "b": (2, 6), "c": (3, 1)}.items():
        metric.update({"case": case, "pred": bar(pred)[:1], "label": bar(truth)[:1]})
    found = {name: estimate["value"] for name, estimate in summarise(metric.rows).items()}
    # tp 4 + 2 + 1, fp 2, fn 4 of 3 x 120 voxels
    expected = {"dice": 14 / 20, "iou": 7 / 13, "precision": 7 / 9, "recall": 7 / 11, "accuracy": 354 / 360}
    for name, value in expected.items():
        assert found[f"pooled_{name}"] == pytest.approx(value)
    assert found["mean_dice"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert found["pooled_small_tumour_dice"] == pytest.approx(14 / 20)  # every tumour here is small


def test_interval_leaves_out_resamples_for_which_the_value_is_undefined() -> None:
    rows = [{"tp": 0, "fp": 0, "fn": 0, "tn": 9, "dice": 1.0}] * 7 + [{"tp": 3, "fp": 1, "fn": 0, "tn": 5, "dice": 0.9}]
    rows = [{**row, **{f"small_{name}": row[name] for name in ("tp", "fp", "fn", "tn")}} for row in rows]
    estimate = summarise(rows)["pooled_small_tumour_dice"]
    assert estimate == {"value": 6 / 7, "ci_low": 6 / 7, "ci_high": 6 / 7, "n": 8, "method": BOOTSTRAP}


def test_interval_widens_with_spread_and_needs_three_patients() -> None:
    narrow, wide = (patient_interval([np.array(dice)], np.mean) for dice in ([0.7, 0.71, 0.72], [0.4, 0.7, 1.0]))
    assert wide["ci_low"] < narrow["ci_low"] < 0.71 < narrow["ci_high"] < wide["ci_high"]  # type: ignore[operator]
    assert patient_interval([np.array([0.5, 0.6])], np.mean) == {
        "value": 0.55,
        "ci_low": None,
        "ci_high": None,
        "n": 2,
        "method": BOOTSTRAP,
    }


def test_report_holds_rows_and_summary(tmp_path: Path) -> None:
    metric, baseline = PatientMetrics(REGIONS), ThresholdBaseline(REGIONS)
    engine = engine_with(a=(bar(4), bar(4)), b=(bar(2), bar(6)), c=(bar(0), bar(0)))
    for part in (metric, baseline):
        part.iteration_completed(engine)
        part.compute()
    PatientReportHandler(metric, tmp_path, fold="test", baseline=baseline, note="synthetic")(Engine(lambda *_: None))
    with (tmp_path / "patients.csv").open() as file:
        rows = list(csv.DictReader(file))
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert [(row["row"], row["region"], float(row["dice"])) for row in rows][:3] == [
        ("test-0001", "TC", 1),
        ("test-0001", "WT", 1),
        ("test-0002", "TC", 0.5),
    ]
    assert "case" not in rows[0]
    assert read_cases(tmp_path) == {"test-0001": "a", "test-0002": "b", "test-0003": "c"}
    assert summary["note"] == "synthetic"
    mean_dice = summary["metrics"]["mean_dice"]
    assert mean_dice["value"] == pytest.approx(2.5 / 3)
    assert mean_dice["ci_low"] <= mean_dice["value"] <= mean_dice["ci_high"]
    assert summary["best_single_threshold"]["mean_dice"] == pytest.approx(baseline.compute())
    assert "NaN" not in (tmp_path / "metrics.json").read_text()


def obvious_dice(marked: torch.Tensor, truth: torch.Tensor) -> float:
    size = marked.sum() + truth.sum()
    return float(2 * (marked & truth).sum() / size) if size else 1.0


def test_threshold_dice_equals_the_obvious_one() -> None:
    generator = torch.Generator().manual_seed(4)
    image = torch.randn(2, 6, 5, 4, generator=generator) * 3
    image[:, :2] = 0  # outside the brain
    truth = (torch.rand(2, 6, 5, 4, generator=generator) < 0.3) & (image[0] != 0)
    found = threshold_dice(image, truth)
    for step in (0, 40, 77, 120):
        for modality in range(2):
            brain = image[modality] != 0
            above = brain & (image[modality] > THRESHOLDS[step])
            for region in range(2):
                curves = found[region, modality, :, step].tolist()
                expected = [obvious_dice(above, truth[region]), obvious_dice(brain & ~above, truth[region])]
                assert curves == pytest.approx(expected, abs=1e-6)


def test_baseline_finds_the_modality_that_tells() -> None:
    baseline = ThresholdBaseline(["WT"])
    image = torch.randn(4, 8, 8, 4, generator=torch.Generator().manual_seed(1))
    truth = torch.zeros(1, 8, 8, 4)
    truth[:, 2:4] = 1
    image[2][truth[0] > 0] -= 20
    baseline.update({"case": "a", "image": image, "label": truth})
    assert baseline.compute() == pytest.approx(1)
    assert baseline.best[0]["modality"] == "T1ce"
    assert baseline.best[0]["direction"] == "below"
