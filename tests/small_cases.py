"""Cases of a few voxels, in the file names of BraTS."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (6, 5, 4)
ENDINGS_2018 = ("_flair", "_t1", "_t1ce", "_t2", "_seg")
ENDINGS_2023 = ("-t2f", "-t1n", "-t1c", "-t2w", "-seg")


def save(path: Path, voxels: np.ndarray, spacing_mm: float = 10.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([spacing_mm, spacing_mm, spacing_mm, 1])), path)


def make_mask(tumour_voxels: int, code: int = 2) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask.flat[:tumour_voxels] = code
    return mask


def add_case(
    root: Path, name: str, *, seed: int, mask: np.ndarray | None = None, endings: tuple[str, ...] = ENDINGS_2018
) -> Path:
    images = np.random.default_rng(seed).integers(-5, 900, (4, *SHAPE)).astype(np.int16)
    for ending, voxels in zip(endings, [*images, make_mask(3) if mask is None else mask], strict=True):
        save(root / name / f"{name}{ending}.nii.gz", voxels)
    return root
