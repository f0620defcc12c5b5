"""The demo's small commands: what they print, and one line with exit status 2 where they cannot."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from custom_transforms.evidence.evidence_files import write_patients


def run(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / script), *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_time_is_estimated_from_names_and_one_case(phantoms: Path) -> None:
    result = run("estimate_time.py", phantoms, "--slice-size", "[48,48]")
    assert result.returncode == 0, result.stderr
    low, high = map(int, re.search(r"take (\d+) to (\d+) min on this machine, for 6 cases", result.stdout).groups())  # type: ignore[union-attr]
    assert 1 <= low <= high <= 30


def test_results_are_shown_with_interval_and_floor(tmp_path: Path) -> None:
    dice = {"value": 0.8, "ci_low": 0.7, "ci_high": 0.9, "n": 8}
    few = {"value": 0.6, "ci_low": None, "ci_high": None, "n": 2}
    floor = {"mean_dice": 0.4, "regions": [{"region": "WT", "dice": 0.5}]}
    summary = {"note": "Synthetic.", "task": "segmentation", "patients": 8, "metrics": {"mean_dice": dice}}
    summary["regions"] = {"WT": {"mean_dice": few}}
    (tmp_path / "eval" / "overlays").mkdir(parents=True)
    (tmp_path / "eval" / "metrics.json").write_text(json.dumps({**summary, "best_single_threshold": floor}))
    lines = run("show_results.py", tmp_path).stdout.splitlines()
    assert lines[1] == "Synthetic. Mean Dice of patients not used for training: 8"
    assert lines[3].split() == ["mean", "0.800", "0.700", "to", "0.900", "0.400"]
    assert lines[4].split() == ["WT", "0.600", "no", "interval", "0.500"]
    assert lines[-1].split() == ["pictures", str(tmp_path / "eval" / "overlays")]  # what is not there is not named


def write_classifier_results(folder: Path) -> None:
    measures = ("auc", "average_precision", "f1", "sensitivity", "specificity")
    estimates = {name: {"value": 0.8, "ci_low": 0.6, "ci_high": 0.9, "n": 12} for name in measures}
    (folder / "eval").mkdir(parents=True)
    summary = {"note": "Synthetic.", "task": "classification", "patients": 12, "positives": 5, "metrics": estimates}
    (folder / "eval" / "metrics.json").write_text(json.dumps(summary))


def test_results_of_a_classifier_are_shown_case_by_case(tmp_path: Path) -> None:
    write_classifier_results(tmp_path)
    (tmp_path / "predictions").mkdir()
    columns = "case,probability,decision,slices_used,slices_dropped,reasons,carrying_slices,notes,status,reason"
    row = "p1,0.91,positive,22,3,3 too little brain,10 11,gantry tilted by 6.1 degrees,ok,"
    refused = "p2,,,,,,,,refused,no_brain: p2: expected a brain"
    (tmp_path / "predictions" / "predictions.csv").write_text(f"{columns}\n{row}\n{refused}\n")
    lines = run("show_results.py", tmp_path).stdout.splitlines()
    assert lines[1] == "Synthetic. Patients not used for training: 12, 5 with metastases"
    assert lines[2].split() == ["auc", "0.800", "0.600", "to", "0.900"]
    assert lines[9].split() == ["p1", "0.910", "positive", "22,", "3", "(3", "too", "little", "brain)", "10", "11"]
    assert lines[10].split() == ["p2", "no_brain:", "p2:", "expected", "a", "brain"]


def test_study_is_shown_with_baseline_checkpoints_and_shortcut(tmp_path: Path) -> None:
    write_classifier_results(tmp_path / "curriculum")
    estimate = {"value": 0.2, "ci_low": 0.1, "ci_high": 0.3, "n": 12}
    blob = {"network_auc": estimate, "blob_auc": estimate, "difference": estimate}
    (tmp_path / "curriculum" / "eval" / "blob.json").write_text(json.dumps(blob))
    milestones = tmp_path / "curriculum" / "models" / "milestones"
    milestones.mkdir(parents=True)
    (milestones / "checkpoint_summary.csv").write_text("file,epoch,stage,threshold,auc\nbest_auc.pt,7,2,0.4,0.75\n")
    choices = re.findall(r"for by_class in (\w+) (\w+);", (ROOT / "scripts/phantom_study.sh").read_text())[0]
    for choice, area in zip(choices, ("0.97", "0.52"), strict=True):
        (tmp_path / f"by_class_{choice}" / "eval").mkdir(parents=True)
        (tmp_path / f"by_class_{choice}" / "eval" / "history.csv").write_text(f"epoch,training_auc\n1,0.5\n2,{area}\n")
    lines = run("show_study.py", tmp_path).stdout.splitlines()
    assert "AUC, network less blob           0.200  0.100 to 0.300" in lines
    assert "best_auc.pt       7      2  0.750" in lines
    assert lines[-2:] == ["filters by class  0.500 0.970", "filters for both  0.500 0.520"]


def test_blobs_of_test_patients_are_compared_with_their_probabilities(heads: Path, tmp_path: Path) -> None:
    rows = [{**item, "prob": 0.1 + 0.8 * item["label"]} for item in read_test_fold(heads)]
    write_patients(tmp_path, [{name: row[name] for name in ("case", "label", "prob")} for row in rows], "test")
    result = run("compare_with_blob.py", heads, "--evaluation", tmp_path, "--image-size", 64)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "blob.json").read_text())
    assert found["network_auc"]["value"] == 1
    assert found["difference"]["value"] == pytest.approx(1 - found["blob_auc"]["value"])
    write_patients(tmp_path, [{"case": "stranger", "label": 1, "prob": 0.5}], "test")
    result = run("compare_with_blob.py", heads, "--evaluation", tmp_path, "--image-size", 64)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        2, "compare_with_blob: expected the test patients of the data list in patients.csv, got others")  # fmt: skip


def read_test_fold(folder: Path) -> list[dict[str, Any]]:
    fold: list[dict[str, Any]] = json.loads((folder / "data_list.json").read_text())["test"]
    return fold


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("estimate_time.py", "none"),
        ("show_results.py", "none"),
        ("show_study.py", "none"),
        ("explore_data_set.py", "none"),
        ("format_configs.py", "none"),
    ],
)
def test_missing_input_is_one_line_and_status_two(script: str, word: str) -> None:
    result = run(script, word)
    assert result.returncode == 2
    assert re.match(r"(\w+)(\.py)?: .*none", result.stderr.strip().splitlines()[-1])
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_demo_refuses_a_folder_that_is_not_there() -> None:
    for demo, what in (("demo", "cases"), ("demo_ct", "heads")):
        result = subprocess.run([f"scripts/{demo}.sh", "/none"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (2, f"{demo}: expected a folder of labelled {what}, got /none\n")
