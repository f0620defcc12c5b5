from __future__ import annotations

import brain_oracle
import numpy as np
import pytest
from scipy import ndimage

from custom_transforms.brain_shapes import closed_and_filled, disk
from custom_transforms.spread import Mask, dilate, erode


def make_mask(random: np.random.RandomState) -> Mask:
    """Blobs that touch the border, on a slice of any size, down to one pixel."""
    smooth = ndimage.gaussian_filter(random.rand(*random.randint(1, 70, 2)), 1.2)
    return np.asarray(smooth > random.uniform(0.3, 0.6), dtype=np.uint8)


@pytest.mark.parametrize("case", range(40))
def test_disks_of_any_size_spread_as_scipy_says(case: int) -> None:
    random = np.random.RandomState(case)
    mask = make_mask(random)
    given = mask.copy()
    footprint = disk(random.uniform(0.3, 9), (random.uniform(0.5, 3), random.uniform(0.5, 3)))
    grown, shrunk = dilate(mask, footprint), erode(mask, footprint)
    assert grown.dtype == shrunk.dtype == np.uint8
    assert np.array_equal(grown, ndimage.binary_dilation(mask, footprint))
    assert np.array_equal(shrunk, ndimage.binary_erosion(mask, footprint))
    assert np.array_equal(mask, given)


def test_square_and_diamond_spread_as_scipy_says() -> None:
    mask = make_mask(np.random.RandomState(88))
    row, column = np.abs(np.mgrid[-3:4, -3:4])
    for footprint in (np.ones((3, 3), np.uint8), np.asarray(row + column <= 3, dtype=np.uint8)):
        assert np.array_equal(dilate(mask, footprint), ndimage.binary_dilation(mask, footprint))
        assert np.array_equal(erode(mask, footprint), ndimage.binary_erosion(mask, footprint))


def test_eight_slices_that_are_closed_at_once_do_not_mix() -> None:
    random = np.random.RandomState(7)
    smooth = ndimage.gaussian_filter(random.rand(19, 50, 60), (0, 2, 2))
    bone = np.asarray(np.abs(smooth - 0.5) < 0.01, dtype=np.uint8)
    bone[3] = 0
    footprint = disk(4.0, (1.0, 1.3))
    plain = np.stack([brain_oracle.enclosed_by_bone(plane > 0, footprint) for plane in bone])
    assert np.array_equal(closed_and_filled(bone, footprint), plain)
