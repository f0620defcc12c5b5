"""Very many, very small head CTs, and networks that take milliseconds for each study."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from conftest import ROOT
from monai.networks.nets import AttentionUnet

from custom_transforms.slice_classifier import SliceClassifier
from data_lists.phantom_ct import make_head

WIDTHS = (4, 4, 8, 8)
TINY = {"widths": str(list(WIDTHS)), "image_size": 32, "draw_slices": False, "steps::check_head::_disabled_": True}
MRI_CHANNELS = [4, 8, 8, 8, 8]
TINY_OF = {"ct_metastasis_classifier": TINY, "brats_attention_unet": {"channels": str(MRI_CHANNELS)}}
DAMAGES = ("empty", "cut", "page", "flat", "folder")


def write_weights(path: Path) -> Path:
    torch.manual_seed(4)
    torch.save(SliceClassifier(widths=WIDTHS).state_dict(), path)
    return path


def write_mri_weights(path: Path) -> Path:
    torch.manual_seed(4)
    torch.save(AttentionUnet(2, 4, 1, MRI_CHANNELS, (2, 2, 2, 2)).state_dict(), path)
    return path


def write_studies(folder: Path, count: int, *, damaged: int = 0) -> list[str]:
    """Write `count` heads of a few slices as NIfTI, `damaged` of them spread evenly and spoilt in five ways."""
    folder.mkdir(parents=True)
    head = make_head(1, matrix=64)  # smaller ones have no bone around the brain
    middle = head.hu[11:15].transpose(2, 1, 0)
    names = [f"study_{number:04d}" for number in range(count)]
    for number, name in enumerate(names):
        voxels = middle.copy()
        voxels[0, 0, 0] = number - 1000  # air, so that no two are equal
        file = folder / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(voxels, head.affine), file)
        if damaged and number % (count // damaged) == 0:
            damage(file, DAMAGES[number // (count // damaged) % len(DAMAGES)])
    return names


def damage(file: Path, kind: str) -> None:
    content = file.read_bytes()
    if kind == "flat":
        nib.save(nib.Nifti1Image(np.zeros((8, 8), np.int16), np.eye(4)), file)
    elif kind == "folder":
        file.unlink()
        (file.parent / file.name.removesuffix(".nii.gz")).mkdir()
        (file.parent / file.name.removesuffix(".nii.gz") / "1.dcm").write_bytes(b"no DICOM")
    else:
        page = b"<html>404 not found</html>"
        file.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "page": page}[kind])


def predict_command(
    source: Path,
    output: Path,
    weights: Path,
    *words: object,
    bundle: str = "ct_metastasis_classifier",
    **options: object,
) -> list[str]:
    """The command of a user, with a tiny network."""
    given = {"bundle": bundle, "input": source, "output": output, "checkpoint": weights}
    named = {**given, **TINY_OF[bundle], **options}
    listed = [str(word) for name, value in named.items() for word in (f"--{name}", value)]
    return [sys.executable, "scripts/predict.py", *listed, *map(str, words)]


def predict(
    source: Path, output: Path, weights: Path, *words: object, **options: Any
) -> subprocess.CompletedProcess[str]:
    command = predict_command(source, output, weights, *words, **options)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def summary_of(output: Path) -> dict[str, object]:
    summary: dict[str, object] = json.loads((output / "summary.json").read_text())
    return summary
