"""A NIfTI mask goes onto a DICOM series voxel for voxel, however the axes of both run, or is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT
from dicom_series import COUNT, ORIENTATIONS, SHAPE, positions_mm, write_oriented
from nibabel.orientations import apply_orientation, inv_ornt_aff
from numpy.typing import NDArray
from pydicom import dcmread

from custom_transforms.dicom.find_slices import find_slices
from custom_transforms.dicom.place_mask import place_mask
from custom_transforms.dicom.source_slices import SourceSlices
from custom_transforms.dicom.tumour_parts import tumour_segments
from custom_transforms.refusal import RefusedError

hd = pytest.importorskip("highdicom")

ORDERS = {
    "as_stored": [[0, 1], [1, 1], [2, 1]],
    "rows_turned_over": [[0, 1], [1, -1], [2, 1]],  # what dcm2niix does
    "axes_exchanged": [[2, -1], [0, 1], [1, -1]],
}


def write_case(
    folder: Path, orientation: str, order: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]:
    """A series in `series`; labels `(S, R, C)` on it; and the same as NIfTI voxels `(X, Y, Z)` with their affine."""
    images = write_oriented(folder / "series", orientation)
    labels = np.random.default_rng(5).integers(0, 3, (COUNT, *SHAPE)).astype(np.uint8)
    corner, next_slice = positions_mm(images[0]), positions_mm(images[1])[0, 0]
    affine = np.eye(4)
    affine[:3] = np.column_stack(
        [corner[0, 1] - corner[0, 0], corner[1, 0] - corner[0, 0], next_slice - corner[0, 0], corner[0, 0]]
    )
    affine[:2] *= -1  # LPS to RAS
    voxels = labels.transpose(2, 1, 0)
    affine = affine @ inv_ornt_aff(ORDERS[order], voxels.shape)
    return labels, apply_orientation(voxels, ORDERS[order]), affine


def in_order_of(slices: SourceSlices, folder: Path, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    numbers = {image.SOPInstanceUID: int(image.InstanceNumber) - 1 for image in map(dcmread, folder.iterdir())}
    return labels[[numbers[uid] for uid in slices.uids]]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_mask_keeps_its_place_in_every_orientation(orientation: str, order: str, tmp_path: Path) -> None:
    labels, voxels, affine = write_case(tmp_path, orientation, order)
    slices = find_slices(str(tmp_path / "series"))
    np.testing.assert_array_equal(place_mask(voxels, affine, slices), in_order_of(slices, tmp_path / "series", labels))


@pytest.mark.parametrize("orientation", ["axial", "axial_prone_downwards", "coronal", "sagittal", "oblique"])
def test_mask_on_the_grid_of_itk_keeps_its_place(orientation: str, tmp_path: Path) -> None:
    images = write_oriented(tmp_path / "series", orientation)
    names = itk.GDCMSeriesFileNames.New(Directory=str(tmp_path / "series"))
    volume = itk.imread(list(names.GetInputFileNames()))
    itk.imwrite(volume, tmp_path / "ct.nii.gz")
    read = nib.load(tmp_path / "ct.nii.gz")
    voxels = np.asarray(read.dataobj)  # a mask that says which voxel is where: the image itself
    mask = (voxels % 250).astype(np.uint8)
    slices = find_slices(str(tmp_path / "series"))
    stored = {image.SOPInstanceUID: image.pixel_array for image in images}
    wanted = np.stack([stored[uid] for uid in slices.uids])
    np.testing.assert_array_equal(place_mask(mask, read.affine, slices), (wanted % 250).astype(np.uint8))


@pytest.mark.parametrize("change", ["half_a_voxel", "mirrored", "one_slice_less", "other_spacing", "turned"])
def test_mask_of_another_grid_is_refused(change: str, tmp_path: Path) -> None:
    _, voxels, affine = write_case(tmp_path, "axial", "as_stored")
    slices = find_slices(str(tmp_path / "series"))
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    affines = {
        "half_a_voxel": affine @ np.array([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        "mirrored": np.diag([-1, 1, 1, 1]) @ affine,
        "other_spacing": affine @ np.diag([1, 1.05, 1, 1]),
        "turned": turn @ affine,
    }
    voxels = voxels[..., :-1] if change == "one_slice_less" else voxels
    with pytest.raises(RefusedError, match="^grid_mismatch: mask: expected .* series, got"):
        place_mask(voxels, affines.get(change, affine), slices)


def test_parts_of_a_tumour_are_numbered_and_only_those_that_are_there() -> None:
    mask = np.array([[[0, 4], [2, 4]]], np.float32)
    labels, segments = tumour_segments(mask, "mask")
    np.testing.assert_array_equal(labels, [[[0, 2], [1, 2]]])
    assert [segment.label for segment in segments] == ["oedema", "enhancing tumour"]
    np.testing.assert_array_equal(tumour_segments(np.where(mask == 4, 3, mask), "mask")[0], labels)


@pytest.mark.parametrize(
    ("values", "code"),
    [([0, 0.5], "fractional_label"), ([0, 5], "unknown_label"), ([3, 4], "unknown_label"), ([0, 0], "empty_mask"),
     ([0, np.nan], "fractional_label"), ([0, -1], "unknown_label")],
)  # fmt: skip
def test_masks_that_say_something_else_are_refused(values: list[float], code: str) -> None:
    with pytest.raises(RefusedError, match=f"^{code}: mask: expected"):
        tumour_segments(np.array(values, np.float32).reshape(1, 1, 2), "mask")


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/mask_to_dicom.py", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_command_writes_coded_segments_or_says_in_one_line_why_not(tmp_path: Path) -> None:
    labels, voxels, affine = write_case(tmp_path, "coronal", "rows_turned_over")
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "mask.nii.gz")
    done = run(tmp_path / "mask.nii.gz", tmp_path / "series", "--output", tmp_path / "tumour.dcm")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'tumour.dcm'}: necrotic core, oedema on {COUNT} slices\n"
    segmentation = hd.seg.segread(tmp_path / "tumour.dcm")
    slices = find_slices(str(tmp_path / "series"))
    read = segmentation.get_pixels_by_source_instance(slices.uids, combine_segments=True)
    np.testing.assert_array_equal(read, in_order_of(slices, tmp_path / "series", labels))
    nib.save(nib.Nifti1Image(voxels[1:], affine), tmp_path / "mask.nii.gz")
    done = run(tmp_path / "mask.nii.gz", tmp_path / "series", "--output", tmp_path / "other.dcm")
    assert done.returncode == 3
    assert done.stderr.startswith("mask_to_dicom: grid_mismatch: mask: expected 5 slices of 6x8, as the series, got")
    assert not (tmp_path / "other.dcm").exists()
