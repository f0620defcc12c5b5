"""Slices stand where they were acquired; a series with a gap or a slice beside the line is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import itk
import numpy as np
import pydicom
import pytest
from ct_files import (
    ct_dataset,
    save,
    spoil,
    stored_slices,
    tilted,
    write_series,
)
from pydicom.dataset import FileDataset

from custom_transforms.ct_study import read_ct
from custom_transforms.refusal import RefusedError

COUNT = 12


def only(spoilt: int, **tags: object) -> Callable[[FileDataset, int], None]:
    """Change tags of one slice."""
    return lambda image, index: spoil(image, **tags) if index == spoilt else None


def drop(folder: Path, *indices: int) -> Path:
    for index in indices:
        (folder / f"{(7 * index + 3) % 101:03d}.dcm").unlink()
    return folder


def test_slices_ascend_whatever_files_and_numbers_say(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    volume = read_ct(write_series(tmp_path, values, change=lambda image, i: spoil(image, InstanceNumber=COUNT - i)))
    np.testing.assert_array_equal(volume.hu, np.maximum(values, -1024))
    np.testing.assert_allclose(volume.slice_positions_mm, 5.0 * np.arange(COUNT))
    assert volume.hu.dtype == np.float32
    assert volume.hu.flags.c_contiguous
    assert volume.notes == ()


def test_places_and_voxels_are_those_of_itk(tmp_path: Path) -> None:
    write_series(
        tmp_path, stored_slices(COUNT), change=lambda image, i: spoil(image, ImagePositionPatient=[-7, 9, 5 * i - 20])
    )
    names = itk.GDCMSeriesFileNames.New(Directory=str(tmp_path))
    image = itk.imread(names.GetInputFileNames(), itk.F)
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.hu, itk.array_view_from_image(image))
    for index in ((0, 0, 0), (7, 0, 0), (0, 5, 0), (3, 2, 11)):
        left, back, up = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((volume.affine @ [*index, 1])[:3], [-left, -back, up], atol=1e-4)


def test_tilt_is_kept_as_shear_and_told(tmp_path: Path) -> None:
    volume = read_ct(write_series(tmp_path, stored_slices(COUNT), ImageOrientationPatient=tilted(18.5)))
    np.testing.assert_allclose(np.diff(volume.slice_positions_mm), 5 * np.cos(np.radians(18.5)))
    np.testing.assert_allclose((volume.affine @ [0, 0, 3, 1])[:3], [0, 0, 15], atol=1e-9)  # along the table
    assert "gantry tilted by 18.5 degrees" in volume.notes


def test_a_slab_of_thick_slices_on_thin_ones_is_kept_as_acquired(tmp_path: Path) -> None:
    z = np.array([0, 4, 8, 12, 16, 17.1, 24.1, 31.1, 38.1, 45.1, 52.1, 59.1])
    volume = read_ct(
        write_series(tmp_path, stored_slices(COUNT), z, lambda image, i: spoil(image, SliceThickness=4 if i < 5 else 7))
    )
    np.testing.assert_allclose(volume.slice_positions_mm, z)
    assert volume.affine[2, 2] == pytest.approx(7)  # the median step
    assert any("not to scale" in note for note in volume.notes)


@pytest.mark.parametrize("lost", [1, 5, 6, 10])
def test_a_missing_slice_is_refused(tmp_path: Path, lost: int) -> None:
    with pytest.raises(RefusedError, match="missing_slice: .*expected a step of 5.00 mm, got 10.00 mm"):
        read_ct(drop(write_series(tmp_path, stored_slices(COUNT)), lost))


def test_several_missing_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_slice"):
        read_ct(drop(write_series(tmp_path, stored_slices(COUNT)), 3, 5, 7))


def test_a_missing_slice_of_overlapping_ones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_slice"):
        read_ct(drop(write_series(tmp_path, stored_slices(COUNT), 2.5 * np.arange(COUNT)), 4))


def test_even_gaps_between_slices_are_told(tmp_path: Path) -> None:
    volume = read_ct(write_series(tmp_path, stored_slices(COUNT), SliceThickness=3))
    assert volume.notes == ("2.00 mm between slices not imaged",)


def test_exact_copies_are_removed(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    save(ct_dataset(values[4], 20.0, 5), write_series(tmp_path, values) / "copy" / "again.dcm")
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.hu, values)
    assert volume.notes == ("1 exact copies of slices removed",)


def test_two_images_at_one_place_are_refused(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    save(ct_dataset(values[4] + 1, 20.0, 5), write_series(tmp_path, values) / "again.dcm")
    with pytest.raises(RefusedError, match="two_images_one_position"):
        read_ct(tmp_path)


def test_a_slice_beside_the_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="crooked_stack"):
        read_ct(write_series(tmp_path, stored_slices(COUNT), change=only(4, ImagePositionPatient=[9, 0, 20])))


def test_sagittal_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="not_axial"):
        read_ct(write_series(tmp_path, stored_slices(COUNT), ImageOrientationPatient=[0, 1, 0, 0, 0, -1]))


def test_single_slice_is_read_with_its_thickness(tmp_path: Path) -> None:
    volume = read_ct(save(ct_dataset(stored_slices(1)[0], 3.0, 1, SliceThickness=2.5), tmp_path / "one.dcm"))
    assert volume.hu.shape == (1, 6, 8)
    assert volume.affine[2, 2] == 2.5


def test_real_head_is_read_in_order_with_its_tilt_and_slabs(real_scans: Path) -> None:
    volume = read_ct(real_scans / "head_ct_ge")
    sources = [pydicom.dcmread(file) for file in (real_scans / "head_ct_ge").glob("*.dcm")]
    sources.sort(key=lambda source: float(source.ImagePositionPatient[2]))
    stored = np.stack([source.pixel_array for source in sources]).astype(np.float32)
    assert (stored == -1500).any()
    np.testing.assert_array_equal(volume.hu, np.where(stored == -1500, -1024, stored))
    row, column = np.array(sources[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    expected = [np.array(source.ImagePositionPatient, dtype=float) @ np.cross(row, column) for source in sources]
    np.testing.assert_allclose(volume.slice_positions_mm, expected)
    steps = np.diff(volume.slice_positions_mm).round(2)
    assert [steps[0], steps[13], steps[14]] == [4.0, 1.08, 7.0]
    assert "gantry tilted by 18.5 degrees" in volume.notes
