"""A CT's label may be a mask, as MONAI Label hands it on: any voxel above 0 makes the patient positive."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom_transforms.patient_bag import BagsDataset
from custom_transforms.refusal import RefusedError


def save_mask(path: Path, *voxels: float) -> str:
    mask = np.zeros((4, 3, 2), dtype=np.float32)
    mask.flat[: len(voxels)] = voxels
    nib.save(nib.Nifti1Image(mask, np.diag([1, 1, 5, 1])), path)
    return str(path)


def labels(*given: object) -> list[object]:
    items = [{"image": f"p{number}.nii.gz", "label": label} for number, label in enumerate(given)]
    return [item["label"] for item in BagsDataset(items, dict, None, bag_transform=dict).data]


def test_mask_with_any_voxel_above_zero_is_positive_and_an_empty_one_negative(tmp_path: Path) -> None:
    drawn = save_mask(tmp_path / "drawn.nii.gz", 0, 0, 2)
    empty = save_mask(tmp_path / "empty.nii.gz", 0, -1)
    assert labels(drawn, empty, 0, 1) == [1, 0, 0, 1]


def test_unknown_label_stays_unknown() -> None:
    items = [{"image": "p.nii.gz"}]
    assert BagsDataset(items, dict, None, bag_transform=dict).data == items


def test_mask_that_is_absent_or_not_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_file: none.nii.gz"):
        labels(str(tmp_path / "none.nii.gz"))
    with pytest.raises(RefusedError, match="not_finite: nan.nii.gz: expected a mask of numbers, got NaN or infinity"):
        labels(save_mask(tmp_path / "nan.nii.gz", np.nan, 1))
