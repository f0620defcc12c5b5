from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from custom_transforms.evidence.intervals import BOOTSTRAP
from custom_transforms.evidence.origin import EvidenceOrigin
from custom_transforms.evidence.segmenter_evidence import segmenter_evidence
from custom_transforms.evidence.tumour_measures import TumourMeasures
from custom_transforms.evidence.tumour_strata import EXACT, sensitivity, strata_by_volume
from custom_transforms.file_hash import file_sha256
from custom_transforms.patient_metrics import PatientMetrics
from custom_transforms.patient_report import PatientReportHandler
from custom_transforms.refusal import RefusedError

# Regions TC and WT of each patient: the part of x that is marked, and that is tumour; ET is nowhere.
PATIENTS = {"a": ((4, 4), (8, 8)), "b": ((0, 6), (2, 8)), "c": ((3, 0), (0, 0)), "d": ((4, 6), (12, 6))}


def slab(length: int) -> torch.Tensor:
    mask = torch.zeros(24, 8, 8)
    mask[:length, 2:6, 2:6] = 1  # 16 voxels a layer
    return mask


def patient(case: str) -> dict[str, Any]:
    spacing = torch.diag(torch.tensor([1.0, 1, 2, 1], dtype=torch.float64))
    pred, truth = (torch.stack([*(slab(pair[i]) for pair in PATIENTS[case]), slab(0)]) for i in range(2))
    return {"case": case, "pred": MetaTensor(pred, affine=spacing), "label": truth}


def measured(cases: str = "abcd") -> PatientMetrics:
    metric = PatientMetrics(["TC", "WT", "ET"], measures=TumourMeasures())
    for case in cases:
        metric.update(patient(case))
    metric.compute()
    return metric


def report(folder: Path, cases: str = "abcd") -> dict[str, Any]:
    """Write an evaluation; give what stands in `metrics.json`."""
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text('{"name": "some_bundle", "version": "1.2.3"}')
    for name in ("list.json", "model.pt"):
        (folder / name).write_text(name)
    origin = EvidenceOrigin(
        bundle_root=str(folder), data_list=str(folder / "list.json"), weights=str(folder / "model.pt")
    )
    PatientReportHandler(measured(cases), folder, fold="test", origin=origin)(Engine(lambda *_: None))
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_measures_of_one_patient_by_hand() -> None:
    # b: nothing of 6 layers of TC is marked; of WT 2 of 8 layers. A layer is 16 voxels of 2 mm3, 0.032 ml.
    core, whole, enhancing = (row for row in measured("b").rows)
    assert (core["precision"], core["recall"], core["iou"]) == (None, 0, 0)
    assert (core["volume_error_ml"], core["relative_volume_error"]) == (-0.192, 1)
    assert (whole["precision"], whole["recall"], whole["iou"]) == (1, 0.25, 0.25)
    assert (whole["volume_ml"], whole["truth_volume_ml"]) == (0.064, 0.256)
    assert (whole["volume_error_ml"], whole["relative_volume_error"]) == (-0.192, 0.75)
    assert whole["hd95_mm"] == 6  # from the eighth layer to the second, 1 mm apart
    assert (core["surface_dice"], enhancing["surface_dice"]) == (0, 1)
    assert 0 < whole["surface_dice"] < 1
    assert (enhancing["dice"], enhancing["recall"], enhancing["hd95_mm"]) == (1, None, 0)
    assert (enhancing["lesion_dice"], enhancing["lesions"]) == (1, [])


def test_tolerance_and_lesion_rules_are_knobs() -> None:
    (found,) = TumourMeasures(surface_tolerance_mm=100)(patient("b")["pred"][1:2], patient("b")["label"][1:2])
    assert found["surface_dice"] == 1
    with pytest.raises(ValueError, match="surface_tolerance_mm: expected 0 or more, got -1"):
        TumourMeasures(surface_tolerance_mm=-1)


def test_prediction_without_affine_is_refused() -> None:
    item = patient("b")
    with pytest.raises(ValueError, match="expected a prediction with an affine"):
        TumourMeasures()(item["pred"].as_tensor(), item["label"])


def test_all_is_worked_out_again_from_the_tables(tmp_path: Path) -> None:
    found = report(tmp_path)
    again = segmenter_evidence(table(tmp_path / "patients.csv"), table(tmp_path / "lesions.csv"))
    for name in ("patients", "metrics", "regions", "strata", "warnings"):
        assert json.dumps(found[name]) == json.dumps(again[name]).replace("NaN", "null"), name


def test_context_says_what_was_measured_on_what(tmp_path: Path) -> None:
    found = report(tmp_path)
    assert (found["bundle"], found["version"], found["fold"], found["patients"]) == ("some_bundle", "1.2.3", "test", 4)
    assert found["data_list_sha256"] == file_sha256(tmp_path / "list.json")
    assert found["weights_sha256"] == file_sha256(tmp_path / "model.pt")
    assert found["settings"]["lesion_rules"] == {"dilation_voxels": 3, "min_volume_mm3": 50, "penalty_mm": 374}
    assert found["settings"]["lesion_strata_ml"] == [0.5, 4, 14]


def test_lesions_have_a_table_by_row_id(tmp_path: Path) -> None:
    report(tmp_path)
    rows = [(row["row"], row["region"], row["lesion"], row["found"]) for row in table(tmp_path / "lesions.csv")]
    assert rows == [
        ("test-0001", "TC", "1", "found"), ("test-0001", "WT", "1", "found"),
        ("test-0002", "TC", "1", "missed"), ("test-0002", "WT", "1", "found"),
        ("test-0003", "TC", "1", "false positive"),
        ("test-0004", "TC", "1", "found"), ("test-0004", "WT", "1", "found"),
    ]  # fmt: skip
    assert "lesions" not in table(tmp_path / "patients.csv")[0]


def test_metrics_of_a_region_by_hand(tmp_path: Path) -> None:
    found = {name: part.get("value") for name, part in report(tmp_path)["regions"]["TC"].items()}
    assert found["mean_dice"] == pytest.approx((1 + 0 + 0 + 0.8) / 4)
    assert found["mean_dice_with_tumour"] == pytest.approx((1 + 0 + 0.8) / 3)
    assert found["mean_precision"] == pytest.approx((1 + 0 + 1) / 3)  # b marks nothing
    assert found["mean_recall"] == pytest.approx((1 + 0 + 4 / 6) / 3)  # c has no tumour
    assert found["mean_volume_error_ml"] == pytest.approx((0 - 0.192 + 0.096 - 0.064) / 4)
    assert found["median_relative_volume_error"] == pytest.approx(1 / 3)  # of 0, 1 and 1/3
    assert found["mean_lesion_dice"] == pytest.approx((1 + 0 + 0 + 0.8) / 4)
    assert found["lesion_sensitivity"] == pytest.approx(2 / 3)
    assert found["mean_false_positive_lesions"] == pytest.approx(1 / 4)


def test_bias_of_volume_is_the_mean_error_of_all_patients(tmp_path: Path) -> None:
    region = report(tmp_path)["regions"]["TC"]
    assert region["bland_altman"]["bias"]["value"] == pytest.approx(region["mean_volume_error_ml"]["value"])
    assert region["bland_altman"]["upper_limit"]["n"] == 4


def test_region_that_nobody_has_is_told_of(tmp_path: Path) -> None:
    found = report(tmp_path)
    assert found["regions"]["ET"]["mean_dice"]["value"] == 1
    assert (found["regions"]["ET"]["mean_dice_with_tumour"]["value"], found["regions"]["ET"]["mean_recall"]["n"]) == (
        None,
        0,
    )
    assert "ET: in no patient's truth; its numbers tell of false positives alone" in found["warnings"]
    assert any(line.startswith("TC: not in the truth of 1 of 4 patients") for line in found["warnings"])


def test_voxels_that_the_rules_of_lesions_do_not_fit_are_told_of(tmp_path: Path) -> None:
    warning = "voxels of 2 mm3: the rules of lesions count voxels of 1 mm3, as in BraTS"
    assert warning in report(tmp_path)["warnings"]
    rows = table(tmp_path / "patients.csv")
    for row in rows:
        row |= {name: str(float(row[name]) / 2) for name in ("volume_ml", "truth_volume_ml")}
    assert not any("voxels of" in line for line in segmenter_evidence(rows)["warnings"])


def test_one_patient_gets_values_without_intervals(tmp_path: Path) -> None:
    found = report(tmp_path, "b")
    mean_dice = found["regions"]["WT"]["mean_dice"]
    assert mean_dice == {"value": pytest.approx(0.4), "ci_low": None, "ci_high": None, "n": 1, "method": BOOTSTRAP}
    assert "fewer than 3 patients: no intervals from resampling" in found["warnings"]


def lesion(row: str, volume_ml: float, found: str = "found", **more: object) -> dict[str, object]:
    return {"row": row, "region": "WT", "volume_ml": volume_ml, "dice": 0.5, "found": found, "counted": 1, **more}


def test_strata_hold_lesions_of_their_volume() -> None:
    lesions = [lesion("a", 0.4), lesion("a", 0.5, "missed", dice=0.0), lesion("b", 3.9), lesion("b", 20)]
    lesions += [lesion("b", 0.01, counted=0), lesion("c", 1, "false positive", dice=0.0)]
    strata = strata_by_volume("WT", lesions)
    assert [(part["stratum"], part["patients"], part["lesions"]) for part in strata] == [
        ("lesions under 0.5 ml", 1, 1), ("lesions of 0.5 to 4 ml", 2, 2),
        ("lesions of 4 to 14 ml", 0, 0), ("lesions of 14 ml and more", 1, 1),
    ]  # fmt: skip
    assert strata[1]["metrics"]["sensitivity"]["value"] == 0.5
    assert strata[1]["metrics"]["mean_dice"]["value"] == 0.25
    assert strata[1]["warning"] == "2 lesions, fewer than 10"
    assert strata_by_volume("WT", [lesion("a", 1)] * 10)[1]["warning"] == ""


def test_interval_of_sensitivity_knows_that_lesions_of_a_patient_go_together() -> None:
    together = [lesion(str(row), 1, "found" if row % 2 else "missed") for row in range(10) for _ in range(10)]
    apart = [lesion(str(row), 1, "found" if row % 2 else "missed") for row in range(100)]
    wide, narrow = (sensitivity(part) for part in (together, apart))
    assert (wide["value"], wide["n"], narrow["n"]) == (0.5, 10, 100)
    assert wide["ci_high"] - wide["ci_low"] > 2.5 * (narrow["ci_high"] - narrow["ci_low"])  # sqrt(10) is 3.2


def test_sensitivity_of_all_or_none_is_as_sure_as_patients_are_many() -> None:
    all_found = sensitivity([lesion(row, 1) for row in "abc" for _ in range(20)])
    # Clopper and Pearson: with 3 of 3 the lower bound p has p^3 = 0.025
    assert all_found == {"value": 1, "ci_low": pytest.approx(0.025 ** (1 / 3)), "ci_high": 1, "n": 3, "method": EXACT}
    none = sensitivity([lesion(row, 1, "missed") for row in "abc"])
    assert (none["value"], none["ci_high"]) == (0, pytest.approx(1 - 0.025 ** (1 / 3)))
    assert np.isnan(sensitivity([])["value"])


@pytest.mark.parametrize("edges", [(2, 1), (0, 1), (1, 1), (float("nan"),)])
def test_strata_that_do_not_rise_are_refused(edges: tuple[float, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="strata: expected rising volumes"):
        PatientReportHandler(measured("a"), tmp_path, fold="test", lesion_strata_ml=edges)


@pytest.mark.parametrize("spoilt", [{"dice": "much"}, {"small_tp": "x"}])
def test_table_that_holds_no_number_is_refused(spoilt: dict[str, str], tmp_path: Path) -> None:
    report(tmp_path)
    rows = [{**row, **spoilt} for row in table(tmp_path / "patients.csv")]
    with pytest.raises(RefusedError, match=f"damaged_table: table: expected numbers in column {next(iter(spoilt))}"):
        segmenter_evidence(rows)
    with pytest.raises(RefusedError, match="expected a column dice, got none"):
        segmenter_evidence([{"row": "test-0001", "region": "TC"}])
