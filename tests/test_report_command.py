"""`scripts/report.py` works an evaluation out again from its tables, and refuses in one line what does not fit."""

from __future__ import annotations

import csv
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from evaluation_folders import write_classifier_folder, write_segmenter_folder

from custom_transforms.evidence import recompute as module
from custom_transforms.evidence.delong import auc_difference
from custom_transforms.evidence.evidence_files import write_json, write_patients, write_table
from custom_transforms.evidence.predictive_values import at_prevalence
from custom_transforms.evidence.recompute import recompute
from custom_transforms.evidence.segmenter_evidence import segmenter_evidence
from custom_transforms.evidence.write_report import Report

SCRIPT = ROOT / "scripts" / "report.py"
Row = dict[str, str]
WITHOUT_TORCH = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert not {"torch", "monai", "ignite"} & sys.modules.keys()
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations")
    write_classifier_folder(folder / "classifier", patients=60)
    write_segmenter_folder(folder / "segmenter", patients=5, drawn=False)
    return folder


@pytest.fixture
def classifier(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written / "classifier", tmp_path / "classifier"))


@pytest.fixture
def segmenter(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written / "segmenter", tmp_path / "segmenter"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures out, which take seconds."""
    monkeypatch.setattr(module, "draw_report", lambda evaluation: Report("", {}))


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def read_rows(folder: Path) -> list[Row]:
    with (folder / "patients.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Run the command in this process; give its exit status and what it wrote to standard error."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return int(ended.value.code or 0), capsys.readouterr().err


def test_table_gives_the_numbers_of_the_evaluation_without_torch(classifier: Path) -> None:
    before = read(classifier)
    command = [sys.executable, "-c", WITHOUT_TORCH, str(SCRIPT), str(classifier)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, f"{classifier}/report.html\n"), ended.stderr
    assert read(classifier) == before
    assert (classifier / "report.html").stat().st_size > 100_000


@pytest.mark.usefixtures("undrawn")
def test_prevalences_and_groups_are_those_that_are_asked_for(classifier: Path) -> None:
    recompute(classifier, prevalences=[0.3], subgroups={"age": [50.0]})
    found = read(classifier)
    (row,) = found["at_prevalence"]
    assert row == at_prevalence(found["confusion"], 0.3)
    assert [group["group"] for group in found["subgroups"]] == ["below 50", "50 and above"]
    assert sum(group["patients"] for group in found["subgroups"]) == 60
    recompute(classifier)
    assert read(classifier) == found  # they are kept


@pytest.mark.usefixtures("undrawn")
def test_segmenter_is_summed_up_again(segmenter: Path) -> None:
    lesions = list(csv.DictReader((segmenter / "lesions.csv").open(newline="")))
    recompute(segmenter)
    found = read(segmenter)
    assert found["regions"] == json.loads(json.dumps(segmenter_evidence(read_rows(segmenter), lesions)["regions"]))
    assert found["note"].startswith("Synthetic")
    assert found["best_single_threshold"]["mean_dice"] == 0.5


def other_model(folder: Path, name: str) -> Path:
    """Copy an evaluation, as another model with other probabilities would leave it."""
    other = Path(shutil.copytree(folder, folder.parent / name))
    random = np.random.default_rng(3)
    rows = [
        {**row, "prob": str(min(1.0, 0.6 * float(row["prob"]) + 0.4 * random.random()))} for row in read_rows(other)
    ]
    write_table(other / "patients.csv", rows)
    write_json(other / "metrics.json", {**read(other), "version": "0.2.0", "weights_sha256": "b8" * 32})
    return other


def test_two_models_are_compared_patient_by_patient(classifier: Path) -> None:
    other = other_model(classifier, "other")
    rows = read_rows(other)
    write_table(other / "patients.csv", rows[::-1])
    page = recompute(classifier, compare_with=other).read_text()
    found = read(classifier)["comparison"]
    first, second = ([float(row["prob"]) for row in part] for part in (read_rows(classifier), rows))
    expected = auc_difference([int(row["label"]) for row in rows], first, second)
    assert found["metrics"]["auc_difference"] == expected
    assert found["name"] == "ct_metastasis_classifier 0.2.0, weights b8b8b8b8b8b8"
    assert found["name"] in page
    assert "AUC, this model less the other" in page


@pytest.mark.parametrize("change", ["label", "row", "data list", "key"])
def test_other_patients_are_not_compared(classifier: Path, change: str) -> None:
    other = other_model(classifier, "other")
    rows, before = read_rows(other), (classifier / "metrics.json").read_text()
    if change == "label":
        places = [[row["label"] for row in rows].index(label) for label in ("0", "1")]
        rows[places[0]]["label"], rows[places[1]]["label"] = "1", "0"
    elif change == "row":
        rows[0]["row"] = "test-9999"
    elif change == "data list":
        write_json(other / "metrics.json", {**read(other), "data_list_sha256": "00" * 32})
    else:
        text = (other / "row_ids.csv").read_text()
        (other / "row_ids.csv").write_text(text.replace("head_000", "head_999"))
    write_table(other / "patients.csv", rows)
    with pytest.raises(ValueError, match="other_patients: other/patients.csv: expected an evaluation of the same"):
        recompute(classifier, compare_with=other)
    assert (classifier / "metrics.json").read_text() == before


def test_what_does_not_fit_is_refused_in_one_line(
    classifier: Path,
    segmenter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "metrics.json").write_text("{")
    (damaged / "patients.csv").write_text("row\n")
    asked: dict[str, list[object]] = {
        "missing_evaluation: metrics.json: expected a folder that evaluating has written, got no such file": [tmp_path],
        "damaged_evaluation: metrics.json: expected JSON": [damaged],
        "missing_column: patients.csv: expected the column scanner": [classifier, "--subgroup", "scanner"],
        "bad_bands: sex: expected numbers": [classifier, "--subgroup", "sex=1,2"],
        "bad_bands: age: expected edges that ascend": [classifier, "--subgroup", "age=9,2"],
        "wrong_task: metrics.json: expected a classifier": [segmenter, "--prevalence", "0.2"],
        "wrong_task: segmenter: expected two evaluations of classifiers": [classifier, "--compare", segmenter],
        "argument --prevalence: invalid share value: '1.5'": [classifier, "--prevalence", "1.5"],
        "argument --subgroup: invalid group value: 'age=old'": [classifier, "--subgroup", "age=old"],
    }
    for line, words in asked.items():
        status, told = run(monkeypatch, capsys, *words)
        assert status == 3
        assert re.fullmatch(rf"report(\.py)?: {re.escape(line)}[^\n]*\n", told)
    assert not (classifier / "report.html").exists()


def test_evaluation_that_breaks_off_leaves_no_new_rows_under_an_old_summary(classifier: Path) -> None:
    write_patients(classifier, [{"case": "a", "label": 1, "prob": 0.5}], "test")  # and was killed here
    with pytest.raises(ValueError, match="missing_evaluation: metrics.json"):
        recompute(classifier)
