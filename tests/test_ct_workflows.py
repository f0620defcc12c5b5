"""The CT bundle as its users run it: each step in a process of its own, on phantoms and on a real head."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import CT, ROOT, metrics_of_best_model, run_bundle
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.utils import set_determinism
from small_weights import checkpoint_hash

from custom_transforms.ct_study import read_ct
from custom_transforms.evidence.evidence_files import read_cases
from custom_transforms.evidence.read_evaluation import read_evaluation
from custom_transforms.evidence.recalibrate import choose_on_evaluation
from custom_transforms.feature_statistics import read_feature_statistics
from custom_transforms.file_hash import file_sha256
from custom_transforms.operating_point import read_operating_point
from custom_transforms.refusal import RefusedError
from data_lists.ct_list import build_ct_list
from data_lists.data_list_file import write_data_list
from data_lists.phantom_ct import is_positive, make_head
from data_lists.phantom_ct_layout import write_head, write_labels

SMALL = {"image_size": 64, "widths": "[8,16,32,64]", "num_workers": 0}


def check(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    return result.stderr.strip().splitlines()[-1]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Options of a run that has prepared its heads and trained for two epochs without pretrained weights."""
    folder = tmp_path_factory.mktemp("trained")
    options = {"bundle_root": CT, "dataset_dir": heads, "models_dir": folder / "models", **SMALL}
    prepared = {"output_dir": folder / "eval", "cache_dir": folder / "prepared"}
    check(run_bundle("preparing", "train", "prepare", bundle=CT, **options, **prepared))
    check(run_bundle("training", "train", "smoke", bundle=CT, **options, **prepared, max_epochs=2))
    return options | {"cache_dir": folder / "prepared"}


def test_preparing_tells_of_every_slice(trained: dict[str, object]) -> None:
    folder = Path(str(trained["models_dir"])).parent
    rows = read_rows(folder / "eval" / "slices.csv")
    assert len(rows) == 12
    assert [int(row["slices"]) for row in rows] == [int(row["kept"]) + int(row["dropped"]) for row in rows]
    assert any("too little brain" in row["reasons"] for row in rows)
    assert any("localizers" in row["notes"] for row in rows)
    assert len(list((folder / "prepared").iterdir())) == 12  # training added none: it used what was prepared


def test_training_leaves_model_threshold_milestones_and_pictures(trained: dict[str, object]) -> None:
    models = Path(str(trained["models_dir"]))
    weights = torch.load(models / "model.pt", weights_only=True)
    assert all(isinstance(weight, torch.Tensor) for weight in weights.values())  # flat, for every tool that loads it
    point = json.loads((models / "operating_point.json").read_text())
    assert (point["split"], point["patients"]) == ("validation", 3)
    assert point["data_list_sha256"] == file_sha256(Path(str(trained["dataset_dir"])) / "data_list.json")
    assert {row["file"] for row in read_rows(models / "milestones" / "checkpoint_summary.csv")} == {
        "best_auc.pt", "best_f1.pt", "stage1.pt"}  # fmt: skip
    content = torch.load(models / "milestones" / "stage1.pt", weights_only=True)
    assert content["weights_source"] == {"pretrained": "none"}
    assert len(content["history"]) == 2
    output = models.parent / "eval"
    history = read_rows(output / "history.csv")
    assert {"loss", "f1", "sensitivity", "specificity", "auc"} <= set(history[0])
    assert all((output / name).stat().st_size > 10_000 for name in ("curves.png", "augmentation.png"))


@pytest.fixture(scope="module")
def evaluated(trained: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    options = {**trained, "output_dir": folder, "feature_statistics": folder / "feature_statistics.safetensors"}
    check(run_bundle("fitting", "train", "outside", bundle=CT, **options))
    check(run_bundle("evaluating", "train", "evaluate", bundle=CT, **options, note="synthetic"))
    return folder


def test_evaluation_measures_each_test_patient_at_the_threshold_of_validation(
    evaluated: Path, trained: dict[str, object]
) -> None:
    rows, summary = read_rows(evaluated / "patients.csv"), json.loads((evaluated / "metrics.json").read_text())
    assert len(rows) == summary["patients"] == 3
    assert summary["note"] == "synthetic"
    page = (evaluated / "report.html").read_text()
    assert "<b>synthetic</b>" in page
    assert not any(case in page for case in read_cases(evaluated).values())
    point = json.loads((Path(str(trained["models_dir"])) / "operating_point.json").read_text())
    assert summary["operating_point"] == point
    for row in rows:
        assert (row["decision"] == "positive") == (float(row["prob"]) >= point["threshold"])
        assert float(row["outside"]) > 0
    statistics = evaluated / "feature_statistics.safetensors"
    found = read_feature_statistics(statistics, Path(str(trained["models_dir"])) / "model.safetensors")
    assert (found.training, found.validation, found.split, found.expected_rate) == (6, 3, "validation", 0.25)
    assert {"auc", "average_precision", "f1", "sensitivity", "specificity"} <= set(summary["metrics"])


def test_operating_point_is_chosen_from_what_evaluation_has_written(
    evaluated: Path, trained: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match="^threshold_from_test: metrics.json"):
        choose_on_evaluation(read_evaluation(evaluated), rule="youden", calibration="platt")
    shutil.copytree(evaluated, tmp_path / "evaluated")
    summary = json.loads((evaluated / "metrics.json").read_text()) | {"fold": "validation"}
    (tmp_path / "evaluated" / "metrics.json").write_text(json.dumps(summary))
    evaluation = read_evaluation(tmp_path / "evaluated")
    choose_on_evaluation(evaluation, rule="youden", calibration="platt").write(tmp_path / "operating_point.json")
    for name in ("model.pt", "model.safetensors"):
        weights = Path(str(trained["models_dir"])) / name
        point = read_operating_point(tmp_path / "operating_point.json", weights, summary["settings"])
    assert (point.patients, point.rule, point.calibration["kind"]) == (3, "youden", "platt")


def test_explaining_draws_every_patient_and_deletes_where_the_answer_is_positive(
    evaluated: Path, trained: dict[str, object]
) -> None:
    check(run_bundle("explaining", "train", "evaluate", "explain", bundle=CT, **trained, output_dir=evaluated))
    patients = {row["row"]: row for row in read_rows(evaluated / "patients.csv")}
    assert {picture.stem for picture in (evaluated / "saliency").iterdir()} == patients.keys()
    positive = {row for row, patient in patients.items() if patient["decision"] == "positive"}
    assert "Where did it look" in (evaluated / "report.html").read_text()
    found = json.loads((evaluated / "deletion.json").read_text())
    assert (found["patients"], found["patients_drawn"]) == (len(positive), 3)
    rows = read_rows(evaluated / "deletion.csv") if positive else []
    assert {row["row"] for row in rows} == positive
    for row in rows:
        if float(row["percent"]) == 0:  # the most suspicious slice decides for the patient
            assert float(row["prob"]) == pytest.approx(float(patients[row["row"]]["prob"]), abs=1e-5)


def test_inference_gives_the_probabilities_of_evaluation(
    evaluated: Path, trained: dict[str, object], heads: Path, tmp_path: Path
) -> None:
    options = {key: value for key, value in trained.items() if key != "cache_dir"}
    options["checkpoint"] = Path(str(trained["models_dir"])) / "model.safetensors"  # the same numbers and threshold
    check(run_bundle("inference", "inference", bundle=CT, **options, output_dir=tmp_path))
    cases = read_cases(evaluated)
    measured = {cases[row["row"]]: row for row in read_rows(evaluated / "patients.csv")}
    rows = {row["case"]: row for row in read_rows(tmp_path / "predictions.csv")}
    assert rows.keys() == measured.keys()
    version = json.loads((evaluated / "metrics.json").read_text())["operating_point"]["operating_point_version"]
    for case, row in rows.items():
        assert float(row["probability"]) == pytest.approx(float(measured[case]["prob"]), abs=1e-5)
        assert row["decision"] == measured[case]["decision"]
        record = json.loads((tmp_path / f"{case}.json").read_text())
        assert record["operating_point"]["operating_point_version"] == row["operating_point_version"] == version
        scan = read_ct(heads / "CTs" / case)
        assert record["slices"]["total"] == len(scan.hu) == len(record["by_slice"]) + len(record["dropped"])
        region = nib.load(tmp_path / f"{case}_region.nii.gz")
        assert region.shape == scan.hu.T.shape
        np.testing.assert_allclose(region.affine, scan.affine, atol=1e-4)
        assert (tmp_path / f"{case}_slices.png").stat().st_size > 50_000


def test_everything_runs_from_the_bundles_folder_on_nifti(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for index in range(1, 9):
        write_head(make_head(index, matrix=176), data, index=index, file_format="nifti")
    write_labels(data, {index: is_positive(index, seed=88) for index in range(1, 9)})
    write_data_list(build_ct_list(data, read=read_ct, fractions=(0.5, 0.25, 0.25)), data / "data_list.json")
    folder = tmp_path / "bundle"
    shutil.copytree(CT, folder, ignore=shutil.ignore_patterns("models", "eval", "prepared"))
    options = {"cwd": folder, "dataset_dir": data, "pooling": "attention", **SMALL}
    check(run_bundle("", "train", "smoke", **options))
    check(run_bundle("", "train", "evaluate", **options))
    check(run_bundle("", "inference", **options, draw_slices=False))
    assert len(read_rows(folder / "eval" / "predictions" / "predictions.csv")) == 2
    assert not list((folder / "eval" / "predictions").glob("*.png"))


def train(
    heads: Path, folder: Path, *, workers: int, resume: bool | str = False, stop_after: int = 0
) -> dict[int, str]:
    """Train four epochs in stages of one, two and one, in this process; give the hash of all that each one leaves."""
    parser = ConfigParser()
    parser.read_config([str(CT / "configs" / f"{name}.json") for name in ("train", "smoke")])
    parser.update({name: str(folder) for name in ("models_dir", "output_dir")})
    parser.update({"bundle_root": str(CT), "dataset_dir": str(heads), "cache_dir": str(folder.parent / "prepared")})
    parser.update({"max_epochs": 4, "resume": resume, "device": "cpu", "image_size": 64, "widths": [8, 16, 32, 64]})
    parser.update({"num_workers": workers, "stages::1::first_epoch": 1, "stages::2::first_epoch": 3})
    set_determinism(seed=3 if resume else 88)  # what a new process starts with must not matter
    trainer = parser.get_parsed_content("train::trainer")
    hashes: dict[int, str] = {}

    @trainer.on(Events.EPOCH_COMPLETED)
    def _note(engine: Engine) -> None:
        hashes[engine.state.epoch] = checkpoint_hash(folder / "training.pt")

    if stop_after:
        trainer.add_event_handler(Events.EPOCH_COMPLETED(once=stop_after), trainer.terminate)
    if not resume:  # weights of the first epoch
        set_determinism(seed=88)
    trainer.run()
    return hashes


@pytest.mark.parametrize("workers", [0, 2])
def test_interrupted_curriculum_is_that_of_an_uninterrupted_one_at_every_epoch(
    heads: Path, trained: dict[str, object], tmp_path: Path, workers: int
) -> None:
    (tmp_path / "prepared").symlink_to(str(trained["cache_dir"]))
    expected = train(heads, tmp_path / "whole", workers=workers)
    found = train(heads, tmp_path / "parts", workers=workers, stop_after=2)
    found |= train(heads, tmp_path / "parts", workers=workers, resume="auto")
    assert found == expected
    assert len(set(expected.values())) == 4
    for name in ("history.csv", "model.pt", "milestones/checkpoint_summary.csv", "milestones/best_auc.pt"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("run_id", "configs", "options", "expected"),
    [
        ("training", ["train"], {}, "weights_not_pinned: ResNet50.pt: "),
        ("training", ["train"], {"pretrained_file": "/nowhere/ResNet50.pt"}, "missing_weights: ResNet50.pt: "),
        ("training", ["train", "smoke"], {"pretraned": "none"}, "unknown_option: --pretraned: expected an id"),
        ("evaluating", ["train", "evaluate"], {}, "missing_checkpoint: model.pt: expected trained weights"),
        ("inference", ["inference"], {}, "missing_checkpoint: model.pt: expected trained weights"),
    ],
)
def test_what_is_missing_stops_the_run_in_one_line(
    heads: Path, tmp_path: Path, run_id: str, configs: list[str], options: dict[str, object], expected: str
) -> None:
    places = {"bundle_root": CT, "dataset_dir": heads, "models_dir": tmp_path, "output_dir": tmp_path / "out"}
    cache = {"cache_dir": tmp_path / "prepared"} if run_id != "inference" else {}
    result = run_bundle(run_id, *configs, bundle=CT, **places, **cache, **SMALL, **options)
    assert result.returncode != 0
    assert last_line(result).startswith(expected), result.stderr[-500:]


def test_two_ranks_train_together_through_all_stages(heads: Path, tmp_path: Path) -> None:
    files = str([str(CT / "configs" / f"{name}.json") for name in ("train", "smoke", "multi_gpu_train")])
    options = {"bundle_root": CT, "dataset_dir": heads, "models_dir": tmp_path, "output_dir": tmp_path / "eval",
               "cache_dir": tmp_path / "prepared", **SMALL, "max_epochs": 3, "stages::1::first_epoch": 1,
               "stages::2::first_epoch": 2}  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "monai.bundle"]
    command = [*launch, "run", "training", "--config_file", files, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    check(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, env=environment))
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in weights)
    assert [row["stage"] for row in read_rows(tmp_path / "milestones" / "checkpoint_summary.csv")][-3:] == [
        "1",
        "2",
        "3",
    ]
    rows = read_rows(tmp_path / "eval" / "history.csv")
    assert len(rows) == 3
    best = max(rows, key=lambda row: float(row["auc"]))  # the first of several
    found = metrics_of_best_model(CT, "train", "smoke", **{**options, "widths": [8, 16, 32, 64], "device": "cpu"})
    for name in ("auc", "average_precision", "f1", "sensitivity", "specificity"):
        assert found[name] == pytest.approx(float(best[name])), name


def test_real_head_goes_through_whole(trained: dict[str, object], real_scans: Path, tmp_path: Path) -> None:
    shutil.copytree(real_scans / "head_ct_ge", tmp_path / "studies" / "head", ignore=shutil.ignore_patterns("*.txt"))
    build = ["scripts/build_data_lists.py", str(tmp_path / "studies"), "--task", "ct", "--unlabelled"]
    check(subprocess.run([sys.executable, *build], cwd=ROOT, capture_output=True, text=True, check=False))
    options = {key: value for key, value in trained.items() if key != "cache_dir"}
    options["checkpoint"] = Path(str(trained["models_dir"])) / "model.safetensors"  # the same numbers and threshold
    options |= {"dataset_dir": tmp_path / "studies", "output_dir": tmp_path / "out"}
    check(run_bundle("inference", "inference", bundle=CT, **options))
    record = json.loads((tmp_path / "out" / "head.json").read_text())
    assert record["slices"] == {"total": 28, "used": 21, "dropped": 7}
    assert [row["slice"] for row in record["by_slice"]] == list(range(5, 26))
    positions = [row["position_mm"] for row in record["by_slice"]]
    assert positions == sorted(positions)
    assert "tilted by 18.5 degrees" in record["notes"]
    assert nib.load(tmp_path / "out" / "head_region.nii.gz").shape == (512, 512, 28)
    assert (tmp_path / "out" / "head_slices.png").stat().st_size > 200_000
