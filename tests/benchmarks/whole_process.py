"""One study from its files to its result, by the command that a user types, start-up included.

Each run is a process of its own; memory is weighed from outside, see `measured_process.Peaks`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import torch
from conftest import BRATS, CT, ROOT
from monai.networks.nets import AttentionUnet

from benchmarks.job import Job
from benchmarks.measured_process import Peaks, run_measured
from benchmarks.zoo_segmenter import write_zoo_bundle
from custom_transforms.slice_classifier import SliceClassifier
from data_lists.phantom_ct import make_head
from data_lists.phantom_ct_layout import head_name, write_head
from data_lists.phantom_layouts import write_patient
from data_lists.phantom_mri import make_patient

MATRIX = (240, 240, 155)  # of BraTS
MODALITIES = ("flair", "t1", "t1ce", "t2")
HEAD = 72  # a phantom of 40 slices
MONAI = (sys.executable, "-m", "monai.bundle", "run")
RUNS = 2  # after one that is not counted; each takes half a minute


class Done(NamedTuple):
    """What a run left, and the memory it took."""

    file: Path
    peaks: Peaks


def jobs(folder: Path, threads: int) -> Iterator[Job]:
    """Give a case of BraTS, of one region and of three, beside the model zoo's network, then a CT beside plain code."""
    case = _write_case(folder / "brats")
    grid = "both write a mask on the input's grid: two networks cannot agree in more"
    zoo = partial(_run_zoo, write_zoo_bundle(folder / "zoo", case), folder / "zoo" / "eval")
    for name, overlays, channels in (("", (), 1), (", three regions", ("regions",), 3)):
        weights = _write_weights(folder / f"unet{channels}.pt", partial(_unet, channels))
        ours = partial(_run_bundle, BRATS, folder / "brats", weights, "Phantom_001_mask.nii.gz", overlays)
        yield Job(name=f"whole process: one BraTS case to its mask{name}; baseline: brats_mri_segmentation",
                  baseline=zoo, ours=ours, equal=partial(_on_one_grid, case[0]), tolerance=grid, runs=RUNS,
                  to_reach=2.0, describe=_memory)  # fmt: skip
    write_head(make_head(HEAD, matrix=512), folder / "ct", index=HEAD, file_format="dicom")
    study = Path("CTs") / head_name(HEAD)
    (folder / "ct" / "data_list.json").write_text(json.dumps({"test": [{"image": str(study)}]}))
    weights = _write_weights(folder / "resnet.pt", SliceClassifier)
    yield Job(name="whole process: one DICOM study of 40 slices to its JSON; baseline: plain code without a picture",
              baseline=partial(_run_plain, folder / "ct" / study, weights, folder / "plain.json"),
              ours=partial(_run_bundle, CT, folder / "ct", weights, f"{head_name(HEAD)}.json", ()),
              equal=_same_probability, tolerance="probability within 1e-5, that of logits in float32",
              runs=RUNS, to_reach=5.0, describe=_memory)  # fmt: skip


def _write_case(folder: Path) -> list[Path]:
    """Write a phantom as four files with its data list."""
    write_patient(make_patient(1, shape=MATRIX), folder, layout="brats2018", index=1)
    case = "Phantom_001"
    files = [folder / case / f"{case}_{modality}.nii.gz" for modality in MODALITIES]
    item = {"case": case, "image": [str(file.relative_to(folder)) for file in files]}
    (folder / "data_list.json").write_text(json.dumps({"test": [item]}))
    return files


def _write_weights(file: Path, make: Callable[[], torch.nn.Module]) -> Path:
    torch.manual_seed(0)
    torch.save(make().state_dict(), file)
    return file


def _unet(channels: int) -> torch.nn.Module:
    return AttentionUnet(2, 4, channels, (32, 64, 128, 256, 512), (2, 2, 2, 2), dropout=0.2)


def _run_bundle(bundle: Path, data: Path, weights: Path, result: str, overlays: Sequence[str]) -> Done:
    output = data / "results"
    shutil.rmtree(output, ignore_errors=True)  # what is done is not done again
    configs = str([str(bundle / "configs" / f"{name}.json") for name in ("inference", *overlays)])
    options = {"bundle_root": bundle, "dataset_dir": data, "output_dir": output, "checkpoint": weights}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    peaks = run_measured([*MONAI, "inference", "--config_file", configs, *words], cwd=ROOT)
    return Done(output / result, peaks)


def _run_zoo(config: Path, output: Path) -> Done:
    shutil.rmtree(output, ignore_errors=True)
    peaks = run_measured([*MONAI, "--config_file", config, "--bundle_root", config.parent], cwd=config.parent)
    (file,) = output.rglob("*.nii.gz")
    return Done(file, peaks)


def _run_plain(study: Path, weights: Path, result: Path) -> Done:
    command = [sys.executable, "-m", "benchmarks.plain_study", study, weights, result]
    return Done(result, run_measured(command, cwd=ROOT / "tests"))


def _on_one_grid(image: Path, zoo: Done, ours: Done) -> bool:
    grid, *masks = (nib.load(file) for file in (image, zoo.file, ours.file))
    return all(mask.shape == grid.shape and np.allclose(mask.affine, grid.affine) for mask in masks)


def _same_probability(plain: Done, ours: Done) -> bool:
    first, second = (json.loads(done.file.read_text())["patient_probability"] for done in (plain, ours))
    return abs(first - second) < 1e-5


def _memory(baseline: Done, ours: Done) -> str:
    return f"ours {ours.peaks}; baseline {baseline.peaks}"
