"""`scripts/calibrate.py`: an operating point from an evaluation, chosen on validation alone, or anew at a site."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from numpy.typing import NDArray
from scipy.special import expit
from small_points import make_point

from custom_transforms.evidence.calibration_map import apply_calibration, fit_calibration
from custom_transforms.evidence.held_out import measure_choice
from custom_transforms.evidence.threshold_rules import rule_threshold
from custom_transforms.operating_point import load_operating_point

CONTEXT = {"note": "synthetic", "task": "classification", "bundle": "ct_metastasis_classifier", "version": "0.1.0",
           "fold": "validation", "data_list_sha256": "1" * 64, "weights_sha256": "a" * 64,
           "settings": {"pooling": "max", "image_size": 64}, "operating_point": None}  # fmt: skip


def patients(count: int, *, scale: float = 3, shift: float = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels, two fifths positive, and probabilities that are too extreme (scale) or all too high (shift)."""
    random = np.random.default_rng(3)
    labels = (np.arange(count) % 5 < 2).astype(np.int64)
    return labels, expit(scale * ((2 * labels - 1) * 0.8 + random.normal(size=count)) + shift)


def write_evaluation(folder: Path, labels: Sequence[int], probs: Sequence[float], **changes: Any) -> Path:
    """Write what `evaluating` leaves, as far as it is read."""
    folder.mkdir(parents=True)
    with (folder / "patients.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "region", "label", "prob", "dice"])  # the second and the last are a segmenter's
        writer.writerows(
            [f"x-{i:04d}", "TC", label, prob, 0] for i, (label, prob) in enumerate(zip(labels, probs, strict=True))
        )
    counts = {"patients": len(labels), "positives": int(sum(labels))}
    (folder / "metrics.json").write_text(json.dumps({**CONTEXT, **counts, "metrics": {}, **changes}))
    return folder


def calibrate(*words: object, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command in this process; give its exit status."""
    monkeypatch.setattr("sys.argv", ["calibrate.py", *map(str, words)])
    try:
        status: int = runpy.run_path(str(ROOT / "scripts" / "calibrate.py"))["main"]()
    except SystemExit as error:
        return int(error.code or 0)
    return status


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    return write_evaluation(tmp_path / "validation", *patients(50))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An operating point that was shipped: at 0.5, without a map."""
    file = tmp_path / "shipped" / "operating_point.json"
    hashes = {"weights_sha256": "a" * 64, "safetensors_sha256": "b" * 64}
    make_point(b"", rule="youden", settings=CONTEXT["settings"], **hashes).write(file)
    return file


@pytest.mark.parametrize("rule", ["best-f1", "youden", "sensitivity=0.95", "specificity=0.9"])
@pytest.mark.parametrize("kind", ["none", "temperature", "platt", "isotonic"])
def test_file_holds_threshold_and_map_and_where_they_are_from(
    validation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, kind: str
) -> None:
    output = tmp_path / "models" / "operating_point.json"
    words = ["--output", output, "--rule", rule, "--calibration", kind]
    assert calibrate(validation, *words, monkeypatch=monkeypatch) == 0
    point = load_operating_point(output)
    labels, probs = patients(50)
    assert point.threshold == rule_threshold(rule, labels, probs)
    assert point.calibration == fit_calibration(kind, labels, probs)
    assert (point.rule, point.split, point.patients, point.positives) == (rule, "validation", 50, 20)
    assert (point.data_list_sha256, point.weights_sha256, point.version) == ("1" * 64, "a" * 64, "0.1.0")
    assert point.settings == CONTEXT["settings"]
    assert [warning.split(":")[0] for warning in point.warnings] == (
        ["isotonic calibration on 50 patients"] if kind == "isotonic" else []
    )


def test_table_tells_what_the_choice_is_worth(
    validation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 50 patients 20 are positive; scikit-learn's or scipy's figures are tested where they are worked out."""
    assert calibrate(validation, "--output", tmp_path / "op.json", monkeypatch=monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "synthetic 50 patients of validation, 20 positive"
    assert lines[1] == f"threshold {rule_threshold('best-f1', *patients(50)):.4f} by best-f1, calibration none"
    assert lines[2].split() == ["network's", "own", "same", "patients", "cross-validated"]
    measures = {"sensitivity", "specificity", "ppv", "npv", "brier", "calibration slope", "expected calibration error"}
    assert {line.split("  ")[0] for line in lines[3:-1]} == measures
    point = load_operating_point(tmp_path / "op.json")
    assert lines[-1] == f"{tmp_path / 'op.json'}, version {point.content_version()}"


def test_point_is_for_both_files_of_the_network_that_training_wrote(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_operating_point(base).described()
    folder = write_evaluation(tmp_path / "evaluated", *patients(50), operating_point=trained, weights_sha256="b" * 64)
    assert calibrate(folder, "--output", tmp_path / "op.json", monkeypatch=monkeypatch) == 0
    point = load_operating_point(tmp_path / "op.json")
    assert (point.weights_sha256, point.safetensors_sha256) == ("a" * 64, "b" * 64)
    other = write_evaluation(tmp_path / "other", *patients(50), operating_point=trained, data_list_sha256="2" * 64)
    assert calibrate(other, "--output", tmp_path / "op.json", monkeypatch=monkeypatch) == 0
    assert "another data list" in load_operating_point(tmp_path / "op.json").warnings[0]


def test_site_chooses_anew_and_is_told_before_and_after(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, probs = patients(60, shift=3)
    site = write_evaluation(tmp_path / "site", labels, probs, data_list_sha256="2" * 64, weights_sha256="b" * 64)
    output = tmp_path / "out" / "operating_point.json"
    assert calibrate(site, "--site", "--base", base, "--output", output, monkeypatch=monkeypatch) == 0
    point, shipped = load_operating_point(output), load_operating_point(base)
    assert (point.split, point.rule, point.calibration["kind"]) == ("site", "youden", "platt")
    assert (point.base_version, point.data_list_sha256) == (shipped.content_version(), "2" * 64)
    assert (point.weights_sha256, point.safetensors_sha256) == ("a" * 64, "b" * 64)
    report = json.loads((output.parent / "site_report.json").read_text())
    assert report["note"] == "synthetic"
    before, after = (report[name]["metrics"] for name in ("shipped", "site"))
    assert before["specificity"]["value"] == pytest.approx(np.mean(probs[labels == 0] < 0.5))
    assert before["brier"]["value"] == pytest.approx(np.mean((probs - labels) ** 2))
    assert after["specificity"]["value"] > before["specificity"]["value"] + 0.2
    assert after["brier"]["value"] < before["brier"]["value"]
    assert report["site"]["measured"] == "cross-validation in 5 parts"
    with (output.parent / "site_report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["at"], row["measure"]) for row in rows] == [
        (name, measure) for name in ("shipped", "site") for measure in before
    ]
    assert [float(row["value"]) for row in rows] == [*(m["value"] for m in before.values()),
                                                     *(m["value"] for m in after.values())]  # fmt: skip
    assert "shipped" in capsys.readouterr().out.splitlines()[2]


def test_after_is_measured_on_patients_who_had_no_part_in_the_choice() -> None:
    """With probabilities drawn by chance the choice looks good on its own patients, and is worth nothing on others."""
    lost, worse = [], []
    for seed in range(6):
        random = np.random.default_rng(seed)
        labels, probs = np.arange(40) % 2, random.random(40)
        decisions = probs >= rule_threshold("youden", labels, probs)
        calibrated = apply_calibration(fit_calibration("isotonic", labels, probs), probs)
        measures, parts = measure_choice(labels, probs, rule="youden", calibration="isotonic")
        assert parts == 5
        accuracy = (measures["sensitivity"]["value"] + measures["specificity"]["value"]) / 2
        lost.append(np.mean(decisions == labels) - accuracy)
        worse.append(measures["brier"]["value"] - np.mean((calibrated - labels) ** 2))
    assert np.mean(lost) > 0.03
    assert np.mean(worse) > 0.02


def test_few_patients_are_warned_of_and_one_of_a_class_cannot_be_cross_validated(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_evaluation(tmp_path / "site", [1, 0, 0, 0], [0.9, 0.2, 0.3, 0.4], data_list_sha256="2" * 64)
    output = tmp_path / "out" / "operating_point.json"
    assert calibrate(site, "--site", "--base", base, "--output", output, monkeypatch=monkeypatch) == 0
    few = [
        f"{name} patients: {count}, under 10 a choice says little" for count, name in ((1, "positive"), (3, "negative"))
    ]
    assert load_operating_point(output).warnings == few
    report = json.loads((output.parent / "site_report.json").read_text())
    assert report["warnings"] == few
    assert report["site"]["metrics"] == {}
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")] == [
        f"warning: {warning}" for warning in few
    ]


def test_threshold_that_decides_all_the_same_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probs = [1] * 10 + [0] * 10, [0.1, *([0.9] * 9), *([0.5] * 10)]
    folder = write_evaluation(tmp_path / "evaluated", labels, probs)
    words = ["--output", tmp_path / "op.json", "--rule"]
    assert calibrate(folder, *words, "sensitivity=1", monkeypatch=monkeypatch) == 0
    [warning] = load_operating_point(tmp_path / "op.json").warnings
    assert warning.endswith("specificity is 0")
    turned = write_evaluation(tmp_path / "turned", labels, [1 - prob for prob in probs])
    assert calibrate(turned, *words, "specificity=1", monkeypatch=monkeypatch) == 0
    assert not load_operating_point(tmp_path / "op.json").warnings  # one positive, 0.9, is above all negatives
    wrong = write_evaluation(tmp_path / "wrong", labels, [0.2] * 10 + [0.5] * 10)
    assert calibrate(wrong, *words, "specificity=1", monkeypatch=monkeypatch) == 0
    assert load_operating_point(tmp_path / "op.json").warnings[0].endswith("sensitivity is 0")


def test_same_list_is_no_site_of_its_own(
    validation: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--site", "--base", base, "--output", tmp_path / "op.json"]
    assert calibrate(validation, *words, monkeypatch=monkeypatch) == 0
    assert "these very patients" in load_operating_point(tmp_path / "op.json").warnings[-1]
    elsewhere = write_evaluation(tmp_path / "elsewhere", *patients(50), fold="test", data_list_sha256="2" * 64)
    assert calibrate(elsewhere, *words, monkeypatch=monkeypatch) == 0  # a site may call its cases what it likes


@pytest.mark.parametrize(
    ("changes", "words", "code"),
    [
        ({"fold": "test"}, [], "threshold_from_test"),
        ({"fold": "training"}, [], "threshold_from_training"),
        ({"fold": "test"}, ["--site", "--base", "BASE"], "threshold_from_test"),
        ({"fold": "training"}, ["--site", "--base", "BASE"], "threshold_from_training"),
        ({"weights_sha256": "c" * 64}, ["--site", "--base", "BASE"], "operating_point_of_other_weights"),
        ({"settings": {"pooling": "mean", "image_size": 64}}, ["--site", "--base", "BASE"],
         "operating_point_of_other_settings"),
        ({}, ["--site", "--base", "nowhere.json"], "missing_operating_point"),
        ({"task": "segmentation"}, [], "wrong_task"),
        ({"settings": None}, [], "damaged_evaluation"),
        ({"patients": 49}, [], "other_patients"),
        ({}, ["--rule", "auc"], "rule"),
        ({}, ["--site"], "calibrate.py"),
        ({}, ["--base", "BASE"], "calibrate.py"),
        ({}, ["--calibration", "spline"], "calibrate.py"),
    ],
)  # fmt: skip
def test_what_must_not_go_on_ends_in_one_line_and_leaves_no_file(
    changes: dict[str, Any],
    words: list[str],
    code: str,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_evaluation(tmp_path / "evaluated", *patients(50), **changes)
    given = [str(base) if word == "BASE" else word for word in words]
    assert calibrate(folder, *given, "--output", tmp_path / "out" / "op.json", monkeypatch=monkeypatch) == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.split(":")[0] == code
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "probs", "code"),
    [([1] * 5, [0.5] * 5, "one_class"), ([0] * 5, [0.5] * 5, "one_class"), ([0, 2], [0.5, 0.6], "other_patients"),
     ([0, 1], [0.5, float("nan")], "damaged_evaluation"), ([], [], "damaged_evaluation")],
)  # fmt: skip
def test_patients_on_whom_nothing_can_be_chosen_are_refused(
    labels: list[int],
    probs: list[float],
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_evaluation(tmp_path / "evaluated", labels, probs)
    assert calibrate(folder, "--output", tmp_path / "op.json", monkeypatch=monkeypatch) == 3
    assert capsys.readouterr().err.startswith(f"{code}: patients.csv: expected ")


@pytest.mark.parametrize(("name", "code"), [("metrics.json", "damaged_evaluation"), ("patients.csv", "other_patients")])
def test_missing_and_cut_files_of_an_evaluation_are_named(
    name: str,
    code: str,
    validation: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = ["--output", tmp_path / "op.json"]
    content = (validation / name).read_text()
    (validation / name).write_text(content[: len(content) // 2])
    assert calibrate(validation, *output, monkeypatch=monkeypatch) == 3
    assert capsys.readouterr().err.startswith(f"{code}: {name}: ")
    (validation / name).unlink()
    assert calibrate(validation, *output, monkeypatch=monkeypatch) == 3
    assert capsys.readouterr().err.startswith(f"missing_evaluation: {name}: ")
    shutil.rmtree(validation)
    assert calibrate(validation, *output, monkeypatch=monkeypatch) == 3
