"""What works without OpenCV gives what OpenCV gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from custom_transforms import brain_region, brain_shapes, planes_opencv, planes_scipy
from custom_transforms.brain_region import extract_brain
from custom_transforms.ct_study import read_ct
from data_lists.phantom_ct import make_head

CASES = range(25)


def make_mask(case: int) -> tuple[NDArray[np.uint8], np.random.RandomState]:
    """Blobs that touch the border, on a slice of any size."""
    random = np.random.RandomState(case)
    smooth = ndimage.gaussian_filter(random.rand(*random.randint(5, 90, 2)), 1.2)
    return (smooth > random.uniform(0.3, 0.6)).astype(np.uint8), random


@pytest.mark.parametrize("case", CASES)
def test_shapes_are_the_same(case: int) -> None:
    mask, _ = make_mask(case)
    for name in ("fill_holes", "majority"):
        expected, found = (getattr(way, name)(mask) for way in (planes_opencv, planes_scipy))
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected), name
    expected, found = (way.label_pieces(mask) for way in (planes_opencv, planes_scipy))
    pairs = np.unique(np.stack([expected.ravel(), found.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(expected)) == len(np.unique(found))  # one to one
    assert np.array_equal(found > 0, expected > 0)


@pytest.mark.parametrize("case", CASES)
def test_filters_are_the_same_up_to_rounding(case: int) -> None:
    mask, random = make_mask(case)
    image = random.rand(*mask.shape).astype(np.float32)
    kernel = random.rand(3, 3)
    np.testing.assert_allclose(planes_scipy.correlate(image, kernel), planes_opencv.correlate(image, kernel), atol=1e-5)
    levels = np.rint(ndimage.gaussian_filter(image, 1.5) * 255).astype(np.uint8)
    tiles = (int(random.randint(1, 3)), int(random.randint(1, 3)))
    clip = random.uniform(0.5, 8)
    expected, found = (way.equalise_tiles(levels, clip, tiles).astype(int) for way in (planes_opencv, planes_scipy))
    assert abs(found - expected).max() <= 1


def brains(hu: NDArray[Any], monkeypatch: pytest.MonkeyPatch, **geometry: Any) -> list[NDArray[np.bool_]]:
    found = []
    for way in (planes_opencv, planes_scipy):
        monkeypatch.setattr(brain_shapes, "planes", way)
        monkeypatch.setattr(brain_region, "planes", way)
        found.append(extract_brain(hu.astype(np.float32), **geometry))
    return found


@pytest.mark.parametrize("index", [1, 41])
def test_brain_of_a_phantom_is_the_same(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    head = make_head(index)
    spacing_mm = (head.scanner.pixel_mm,) * 2
    expected, found = brains(head.hu, monkeypatch, spacing_mm=spacing_mm, slice_positions_mm=head.slice_positions_mm)
    assert expected.any()
    assert np.array_equal(found, expected)


def test_brain_of_a_real_head_is_the_same(real_scans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = read_ct(real_scans / "head_ct_ge")
    spacing_mm = tuple(np.linalg.norm(scan.affine[:3, (1, 0)], axis=0).tolist())
    expected, found = brains(scan.hu, monkeypatch, spacing_mm=spacing_mm, slice_positions_mm=scan.slice_positions_mm)
    assert expected.any()
    assert np.array_equal(found, expected)
