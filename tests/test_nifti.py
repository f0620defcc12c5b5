from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom_transforms.nifti import grids_agree, read_nifti
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


def cut_tail(raw: bytes) -> bytes:
    return raw[:-8]


def wrong_checksum(raw: bytes) -> bytes:
    return raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:]


def fewer_voxels(raw: bytes) -> bytes:
    return gzip.compress(gzip.decompress(raw)[:-5])


def web_page(raw: bytes) -> bytes:
    return gzip.compress(b"<html>not found</html>" * 50)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_tail, "damaged_gzip"),
        (wrong_checksum, "damaged_gzip"),
        (fewer_voxels, "short_data"),
        (web_page, "not_nifti"),
        (lambda raw: b"", "not_nifti"),
    ],
)
def test_damaged_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], reason: str) -> None:
    path = save(tmp_path / "scan.nii.gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RefusedError, match=f"^{reason}: scan.nii.gz: expected"):
        read_nifti(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_file: none.nii"):
        read_nifti(tmp_path / "none.nii")


def with_forms(sform: np.ndarray | None, qform: np.ndarray | None) -> nib.Nifti1Image:
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(sform, 0 if sform is None else 1)
    image.set_qform(qform, 0 if qform is None else 1)
    return image


@pytest.mark.parametrize(
    ("sform", "qform", "reason"),
    [
        (AFFINE, AFFINE + np.eye(4, k=3), "sform_against_qform"),
        (None, None, "no_orientation"),
        (np.diag([1.0, 1, 0, 1]), None, "singular_affine"),
    ],
)
def test_doubtful_geometry_is_refused(
    tmp_path: Path, sform: np.ndarray | None, qform: np.ndarray | None, reason: str
) -> None:
    nib.save(with_forms(sform, qform), tmp_path / "a.nii")
    with pytest.raises(RefusedError, match=reason):
        read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1), (2, 2, 2, 2, 2)])
def test_other_than_a_volume_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(RefusedError, match="not_a_volume"):
        read_nifti(save(tmp_path / "a.nii", np.zeros(shape, np.int16)))


def test_colour_image_is_refused(tmp_path: Path) -> None:
    colours = np.zeros((2, 3, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(RefusedError, match="not_scalar"):
        read_nifti(save(tmp_path / "a.nii", colours))


def test_grids_agree_within_tolerance_only() -> None:
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.2
    assert grids_agree(AFFINE, shifted, (2, 3, 4), 0.21)
    assert not grids_agree(AFFINE, shifted, (2, 3, 4), 0.19)
