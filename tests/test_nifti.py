from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom_transforms.nifti import read_nifti
from custom_transforms.nifti_affine import grids_agree
from custom_transforms.refusal import RefusedError

AFFINE = np.array([[-1.5, 0, 0, 10], [0, -1.5, 0, 20], [0, 0, 3, -5], [0, 0, 0, 1]])
VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def save(path: Path, voxels: np.ndarray = VOXELS, kind: type = nib.Nifti1Image) -> Path:
    nib.save(kind(voxels, AFFINE), path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_voxels_and_affine_come_back(tmp_path: Path, name: str, kind: type) -> None:
    voxels, affine = read_nifti(save(tmp_path / name, kind=kind))
    np.testing.assert_array_equal(voxels, VOXELS)
    np.testing.assert_allclose(affine, AFFINE)
    assert voxels.dtype == np.float32


def test_big_endian_and_scaled_integers_are_read_as_numbers(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    image = nib.Nifti1Image(VOXELS.astype(">i2"), AFFINE, header)
    image.header.set_slope_inter(0.5, 3)
    nib.save(image, tmp_path / "a.nii")
    voxels, _ = read_nifti(tmp_path / "a.nii")
    np.testing.assert_allclose(voxels, nib.load(tmp_path / "a.nii").get_fdata(), rtol=1e-6)


def test_trailing_axis_of_one_is_dropped(tmp_path: Path) -> None:
    assert read_nifti(save(tmp_path / "a.nii", VOXELS[..., None]))[0].shape == (2, 3, 4)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_file: none.nii"):
        read_nifti(tmp_path / "none.nii")


def test_grids_agree_within_tolerance_only() -> None:
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.2
    assert grids_agree(AFFINE, shifted, (2, 3, 4), 0.21)
    assert not grids_agree(AFFINE, shifted, (2, 3, 4), 0.19)
