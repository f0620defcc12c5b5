"""Stored values become HU, slice by slice or frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ct_files import (
    SPACING_MM,
    enhanced_dataset,
    save,
    spoil,
    stored_slices,
    write_series,
)

from custom_transforms.ct_study import read_ct
from custom_transforms.refusal import RefusedError

COUNT = 12


def test_each_slice_has_its_own_scale(tmp_path: Path) -> None:
    values = stored_slices(COUNT) // 4
    volume = read_ct(
        write_series(tmp_path, values, change=lambda image, i: spoil(image, RescaleSlope=1 + i / 8, RescaleIntercept=i))
    )
    scale = np.arange(COUNT).reshape(-1, 1, 1)
    np.testing.assert_allclose(volume.hu, np.maximum(values * (1 + scale / 8) + scale, -1024), rtol=1e-6)


def test_monochrome1_does_not_turn_values(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    volume = read_ct(write_series(tmp_path, values, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(volume.hu, values)


def test_unused_bits_and_sign_are_read_right(tmp_path: Path) -> None:
    # 12 stored bits of a signed image: 0xF800 -> 0x800 = -2048 -> air, 0x1005 -> 5 though bit 12 is set
    values = np.full((COUNT, 6, 8), 0x1005, dtype=np.int16)
    values[:, 0, 0] = 0x0FFF
    volume = read_ct(write_series(tmp_path, values, BitsStored=12, HighBit=11))
    assert np.unique(volume.hu).tolist() == [-1, 5]


def test_unsigned_values_are_read(tmp_path: Path) -> None:
    values = (stored_slices(COUNT) + 1024).astype(np.uint16)
    values[:, 0, 0] = 40000
    volume = read_ct(write_series(tmp_path, values, PixelRepresentation=0, RescaleIntercept=-1024))
    np.testing.assert_array_equal(volume.hu, values.astype(np.float32) - 1024)


def test_padding_becomes_air(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    values[:, 0], values[:, 1], values[:, 2] = 3000, 3050, 3100
    image = read_ct(write_series(tmp_path, values, PixelPaddingValue=3100, PixelPaddingRangeLimit=3050)).hu
    assert np.unique(image[:, 1:3]).tolist() == [-1024]
    assert np.unique(image[:, 0]).tolist() == [3000]


def test_padding_inside_tissue_is_refused(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    values[0, 0, 0] = 0
    with pytest.raises(RefusedError, match="ambiguous_padding"):
        read_ct(write_series(tmp_path, values, PixelPaddingValue=0))


def test_enhanced_object_is_read_frame_by_frame(tmp_path: Path) -> None:
    values, z = stored_slices(COUNT), 5.0 * np.arange(COUNT)[::-1]
    file = save(enhanced_dataset(values, z), tmp_path / "enhanced.dcm")
    volume = read_ct(file)
    expected = np.maximum(values - np.arange(COUNT).reshape(-1, 1, 1), -1024)[::-1]
    np.testing.assert_array_equal(volume.hu, expected)
    np.testing.assert_allclose(volume.affine[:3, :3], np.diag([-SPACING_MM[1], -SPACING_MM[0], 5]), atol=1e-12)


def test_enhanced_object_without_groups_for_each_frame_is_refused(tmp_path: Path) -> None:
    image = enhanced_dataset(stored_slices(COUNT), 5.0 * np.arange(COUNT))
    del image.PerFrameFunctionalGroupsSequence[3]
    with pytest.raises(RefusedError, match="bad_tag: .*functional groups of 12 frames, got 11"):
        read_ct(save(image, tmp_path / "enhanced.dcm"))
