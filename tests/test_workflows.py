"""The bundle as its users run it: each step in a process of its own, on phantoms and on a real case."""

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
from conftest import BRATS, ROOT, metrics_of_best_model, run_bundle
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.utils import set_determinism
from small_weights import checkpoint_hash

from custom_transforms.evidence.evidence_files import read_cases
from custom_transforms.evidence.segmenter_evidence import segmenter_evidence
from custom_transforms.file_hash import file_sha256

SMALL = {"channels": "[4,8,16,32,64]", "slice_size": "[48,48]", "num_workers": 0}


def check(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


@pytest.fixture(scope="module")
def trained(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Options of a run that has trained three regions for one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    options = {
        "bundle_root": BRATS,
        "dataset_dir": phantoms,
        "models_dir": folder / "models",
        "output_dir": folder / "eval",
    }
    check(run_bundle("training", "train", "regions", "smoke", **options, **SMALL, cache_dir=folder / "prepared"))
    return {**options, "channels": SMALL["channels"], "num_workers": 0}


def test_training_leaves_model_checkpoint_history_and_prepared_volumes(trained: dict[str, object]) -> None:
    models, output = Path(str(trained["models_dir"])), Path(str(trained["output_dir"]))
    weights = torch.load(models / "model.pt", weights_only=True)
    assert all(isinstance(weight, torch.Tensor) for weight in weights.values())  # flat, for every tool that loads it
    assert {"model", "optimizer", "lr_scheduler", "trainer"} <= set(
        torch.load(models / "training.pt", weights_only=True)
    )
    with (output / "history.csv").open() as file:
        assert [(row["epoch"], float(row["mean_dice"]) >= 0) for row in csv.DictReader(file)] == [("1", True)]
    assert (output / "curves.png").stat().st_size > 10_000
    assert list((output / "tensorboard").glob("events*"))
    assert len(list((models.parent / "prepared").iterdir())) == 4  # three to train on, one to validate; each once


def train(
    phantoms: Path, folder: Path, *, workers: int, resume: bool | str = False, stop_after: int = 0
) -> dict[int, str]:
    """Train three epochs with all of train.json, in this process; give the hash of all that each one's end leaves."""
    parser = ConfigParser()
    parser.read_config([str(BRATS / "configs" / f"{name}.json") for name in ("train", "regions", "smoke")])
    small = {"channels": [4, 8, 16, 32, 64], "slice_size": [48, 48], "elastic_prob": 1.0, "device": "cpu"}
    places = {"bundle_root": BRATS, "dataset_dir": phantoms, "models_dir": folder, "output_dir": folder}
    parser.update({name: str(place) for name, place in places.items()})
    parser.update({**small, "cache_dir": str(folder.parent / "prepared"), "max_epochs": 3})
    parser.update({"resume": resume, "num_workers": workers})
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
def test_interrupted_training_is_that_of_an_uninterrupted_one_at_every_epoch(
    phantoms: Path, tmp_path: Path, workers: int
) -> None:
    expected = train(phantoms, tmp_path / "whole", workers=workers)
    found = train(phantoms, tmp_path / "parts", workers=workers, stop_after=1)
    found |= train(phantoms, tmp_path / "parts", workers=workers, resume=True, stop_after=2)
    found |= train(phantoms, tmp_path / "parts", workers=workers, resume="auto")
    assert found == expected
    assert len(set(expected.values())) == 3
    for name in ("history.csv", "model.pt"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_evaluation_measures_each_test_patient(trained: dict[str, object], tmp_path: Path) -> None:
    check(
        run_bundle(
            "evaluating", "train", "regions", "evaluate", **{**trained, "output_dir": tmp_path}, note="synthetic"
        )
    )
    with (tmp_path / "patients.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3
    assert all(0 <= float(row["dice"]) <= 1 and float(row["hd95_mm"]) >= 0 for row in rows)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png") == 6 + 2  # of two patients there is no median
    assert not any(case in page for case in read_cases(tmp_path).values())
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert summary["note"] == "synthetic"
    assert (summary["bundle"], summary["task"]) == ("brats_attention_unet", "segmentation")
    assert summary["weights_sha256"] == file_sha256(Path(str(trained["models_dir"])) / "model.pt")
    with (tmp_path / "lesions.csv").open() as file:
        again = segmenter_evidence(rows, list(csv.DictReader(file)))
    assert json.loads(json.dumps(again["regions"]).replace("NaN", "null")) == summary["regions"]
    assert summary["metrics"]["mean_dice"]["value"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]))
    assert 0 < summary["best_single_threshold"]["mean_dice"] < 1
    assert {file.stem for file in (tmp_path / "overlays").iterdir()} == set(read_cases(tmp_path).values())


def test_inference_writes_the_mask_that_evaluation_measured(
    trained: dict[str, object], phantoms: Path, tmp_path: Path
) -> None:
    check(run_bundle("inference", "inference", "regions", **{**trained, "output_dir": tmp_path / "masks"}))
    check(run_bundle("evaluating", "train", "regions", "evaluate", **{**trained, "output_dir": tmp_path}))
    with (tmp_path / "patients.csv").open() as file:
        named = read_cases(tmp_path)
        rows = {(named[row["row"]], row["region"]): row for row in csv.DictReader(file)}
    cases = {case for case, _ in rows}
    assert len(list((tmp_path / "masks").glob("*.nii.gz"))) == len(cases) == 2
    for case in cases:
        mask = nib.load(tmp_path / "masks" / f"{case}_mask.nii.gz")
        scan = nib.load(phantoms / case / f"{case}_flair.nii.gz")
        assert mask.shape == scan.shape
        assert mask.get_data_dtype() == np.uint8
        np.testing.assert_allclose(mask.affine, scan.affine)
        voxels = np.asarray(mask.dataobj)
        assert set(np.unique(voxels)) <= {0, 1, 2, 4}
        truth = np.asarray(nib.load(phantoms / case / f"{case}_seg.nii.gz").dataobj)
        inner, outer = rows[case, "ET"], rows[case, "WT"]
        # nothing overwrites ET, so that its voxels are those that were measured
        assert ((voxels == 4) & (truth == 4)).sum() == int(inner["tp"])
        assert ((voxels == 4) & (truth != 4)).sum() == int(inner["fp"])
        # whatever was measured as WT is marked; an inner region may lie outside of it
        assert ((voxels > 0) & (truth > 0)).sum() >= int(outer["tp"])
    assert any(int(row["tp"]) + int(row["fp"]) for (_, region), row in rows.items() if region == "ET")


def test_default_task_runs_from_the_bundles_folder_without_run_id(phantoms: Path, tmp_path: Path) -> None:
    folder = tmp_path / "brats_attention_unet"
    shutil.copytree(BRATS, folder, ignore=shutil.ignore_patterns("models", "eval", "prepared"))
    check(run_bundle("", "train", "smoke", cwd=folder, dataset_dir=phantoms, **SMALL))
    options = {"dataset_dir": phantoms, "channels": SMALL["channels"], "num_workers": 0}
    check(run_bundle("", "train", "evaluate", cwd=folder, **options))
    check(run_bundle("", "inference", cwd=folder, **options))
    masks = list((folder / "eval" / "masks").glob("*.nii.gz"))
    assert len(masks) == 2
    assert all(set(np.unique(np.asarray(nib.load(mask).dataobj))) <= {0, 1} for mask in masks)
    other = run_bundle("", "inference", "regions", cwd=folder, **options)
    assert (
        other.stderr.strip()
        .splitlines()[-1]
        .startswith("checkpoint_mismatch: model.pt: expected weights of the network")
    )


@pytest.mark.parametrize(("run_id", "configs"), [("inference", ["inference"]), ("evaluating", ["train", "evaluate"])])
def test_missing_weights_stop_the_run_in_one_line(
    phantoms: Path, tmp_path: Path, run_id: str, configs: list[str]
) -> None:
    options = {"bundle_root": BRATS, "dataset_dir": phantoms, "models_dir": tmp_path, "output_dir": tmp_path / "out"}
    result = run_bundle(run_id, *configs, **options, num_workers=0)
    assert result.returncode != 0
    assert result.stderr.strip().splitlines()[-1].startswith("missing_checkpoint: model.pt: expected trained weights")
    assert not (tmp_path / "out" / "masks").exists()


def test_two_ranks_train_together(phantoms: Path, tmp_path: Path) -> None:
    data_list = json.loads((phantoms / "data_list.json").read_text())
    data_list["validation"] += data_list["test"]  # two patients for one rank, one for the other
    (tmp_path / "data_list.json").write_text(json.dumps(data_list))
    files = str([str(BRATS / "configs" / f"{name}.json") for name in ("train", "smoke", "multi_gpu_train")])
    options = {"bundle_root": BRATS, "dataset_dir": phantoms, "data_list": tmp_path / "data_list.json", **SMALL,
               "models_dir": tmp_path, "output_dir": tmp_path, "cache_dir": tmp_path / "prepared"}  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "monai.bundle"]
    command = [*launch, "run", "training", "--config_file", files, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    check(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, env=environment))
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in weights)
    with (tmp_path / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    alone = {**options, "channels": [4, 8, 16, 32, 64], "slice_size": [48, 48], "device": "cpu"}
    found = metrics_of_best_model(BRATS, "train", "smoke", **alone)["mean_dice"]
    assert found == pytest.approx(float(row["mean_dice"]), rel=0.01)  # rounding moves a voxel over the threshold


def test_real_case_at_full_size(real_scans: Path, tmp_path: Path) -> None:
    """One low-grade glioma, 240x240x155: a few steps of training, evaluation, and a mask on the input's own grid."""
    dataset = real_scans / "mri_glioma"
    build = [
        "scripts/build_data_lists.py",
        str(dataset),
        "--output",
        str(tmp_path / "one.json"),
        "--fractions",
        "0",
        "0",
        "1",
    ]
    check(subprocess.run([sys.executable, *build], cwd=ROOT, capture_output=True, text=True, check=False))
    data_list = json.loads((tmp_path / "one.json").read_text())
    for fold in ("training", "validation"):  # to see it run; no number here means anything
        data_list[fold] = [{**item, "patient": fold} for item in data_list["test"]]
    (tmp_path / "data_list.json").write_text(json.dumps(data_list))
    options = {
        "bundle_root": BRATS,
        "dataset_dir": dataset,
        "data_list": tmp_path / "data_list.json",
        "models_dir": tmp_path,
        "output_dir": tmp_path / "eval",
        "channels": "[8,16,32,64,128]",
        "num_workers": 0,
    }
    check(
        run_bundle(
            "training", "train", "regions", "smoke", **options, cache_dir=tmp_path / "prepared", slices_per_patient=4
        )
    )
    check(run_bundle("evaluating", "train", "regions", "evaluate", **options))
    check(run_bundle("inference", "inference", "regions", **{**options, "output_dir": tmp_path / "masks"}))
    mask = nib.load(tmp_path / "masks" / "TCGA-DU-7294_mask.nii.gz")
    scan = nib.load(dataset / "TCGA-DU-7294" / "TCGA-DU-7294_flair.nii.gz")
    np.testing.assert_allclose(mask.affine, scan.affine)
    assert (mask.shape, mask.get_data_dtype()) == ((240, 240, 155), np.uint8)
    assert nib.aff2axcodes(mask.affine) == ("L", "P", "S")
    assert (tmp_path / "eval" / "overlays" / "TCGA-DU-7294.png").is_file()
    assert json.loads((tmp_path / "eval" / "metrics.json").read_text())["patients"] == 1
