from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import binary_erosion, distance_transform_edt

from custom_transforms.tumour_surfaces import cut_to_both, hausdorff95_by_area_mm, hausdorff95_mm, surface_dice

SPACING = (1.0, 2.0, 3.5)


def masks(*, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Two ragged tumours amid an empty volume."""
    rng = np.random.default_rng(seed)
    pred, truth = np.zeros((2, 24, 22, 15), bool)
    pred[8:15, 7:14, 4:11] = rng.random((7, 7, 7)) < 0.6
    truth[9:17, 6:12, 5:12] = rng.random((8, 6, 7)) < 0.6
    return pred, truth


def voxel(x: int) -> np.ndarray:
    mask = np.zeros((9, 4, 12), bool)
    mask[x, 2, 2] = True
    return mask


def surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~binary_erosion(mask)


def test_hausdorff_distance_equals_the_slow_one_on_the_whole_volume() -> None:
    pred, truth = masks()
    both = []
    for one, other in ((pred, truth), (truth, pred)):
        both.append(np.percentile(distance_transform_edt(~surface(other), sampling=SPACING)[surface(one)], 95))
    assert hausdorff95_mm(pred, truth, spacing_mm=SPACING) == pytest.approx(max(both), rel=1e-5)


def test_distance_and_surface_dice_are_those_of_monai() -> None:
    pred, truth = masks(seed=5)
    pair = [torch.from_numpy(mask)[None, None].float() for mask in (pred, truth)]
    whole = {"include_background": True, "spacing": list(SPACING)}
    expected = compute_hausdorff_distance(*pair, percentile=95, **whole).item()
    assert hausdorff95_mm(pred, truth, spacing_mm=SPACING) == pytest.approx(expected, rel=1e-5)
    for tolerance in (0.9, 1.5, 3.5):
        expected = compute_surface_dice(*pair, [tolerance], use_subvoxels=True, **whole).item()
        found = surface_dice(pred, truth, spacing_mm=SPACING, tolerance_mm=tolerance)
        assert found == pytest.approx(expected, abs=1e-5)
        assert 0.1 < found < 1


def test_rounded_spacing_does_not_cross_the_tolerance() -> None:
    for spacing in (1.0, 1.0000001):
        assert surface_dice(voxel(2), voxel(3), spacing_mm=(spacing, 1, 1), tolerance_mm=1) == 1


@pytest.mark.parametrize("border", [False, True], ids=["inside", "at the volume's border"])
def test_cutting_changes_no_distance(border: bool) -> None:
    pred, truth = masks()
    if border:
        pred, truth = pred[8:, 6:12, 4:], truth[8:, 6:12, 4:]
    cut = cut_to_both(pred, truth)
    assert cut[0].size < pred.size
    for measure in (hausdorff95_by_area_mm, lambda *both, **way: surface_dice(*both, tolerance_mm=2, **way)):
        wide = [np.pad(part, 7) for part in (pred, truth)]
        assert measure(pred, truth, spacing_mm=SPACING) == measure(*wide, spacing_mm=SPACING)
        assert measure(pred, truth, spacing_mm=SPACING) == measure(*cut, spacing_mm=SPACING)


def test_margin_ends_at_the_volume() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[1, 4, 8] = True
    assert [part.shape for part in cut_to_both(mask, ~mask & False, margin=3)] == [(5, 7, 4), (5, 7, 4)]


def test_surfaces_of_two_voxels_by_hand() -> None:
    # A voxel's surface has 8 elements of equal area, at its corners. Shifted by 2 voxels of 3 mm, the 4 nearer ones
    # are 1 voxel, 3 mm, from the other's nearest, the 4 farther ones 2 voxels, 6 mm.
    pair, spacing = (voxel(2), voxel(4)), (3.0, 1.0, 1.0)
    assert hausdorff95_by_area_mm(*pair, spacing_mm=spacing) == pytest.approx(6)
    for tolerance, expected in ((2.9, 0), (3.0, 0.5), (5.9, 0.5), (6.0, 1)):
        assert surface_dice(*pair, spacing_mm=spacing, tolerance_mm=tolerance) == pytest.approx(expected)


def test_percentile_goes_by_area() -> None:
    # Beside a plate of 30 x 30, equal in both, 12 single voxels far away are in one alone: 1.3 % of its voxels.
    # Each is an octahedron of 1.7 mm2, about 1 % of the area in all; with voxels of 40 mm along x it has 57 mm2, and
    # all of them have about 10 % of an area that is 1,800 mm2 and the plate's sides, at most 120 x 40 mm2.
    truth = np.zeros((40, 30, 40), bool)
    truth[20, :, :30] = True
    pred = truth.copy()
    pred[20, 0:24:2, 38] = True
    assert hausdorff95_by_area_mm(pred, truth, spacing_mm=(1, 1, 1)) == 0
    assert hausdorff95_mm(pred, truth, spacing_mm=(40, 1, 1)) == 0
    assert hausdorff95_by_area_mm(pred, truth, spacing_mm=(40, 1, 1)) > 7


def test_empty_masks() -> None:
    empty, some = np.zeros((3, 4, 12), bool), np.ones((3, 4, 12), bool)
    pairs = ((empty, empty), (some, empty), (empty, some))
    assert [hausdorff95_mm(*pair, spacing_mm=(1, 1, 1)) for pair in pairs] == [0, 13, 13]  # 3, 4, 12
    assert [surface_dice(*pair, spacing_mm=(1, 1, 1), tolerance_mm=1) for pair in pairs] == [1, 0, 0]
    assert hausdorff95_by_area_mm(some, empty, spacing_mm=(1, 1, 1)) == np.inf


def test_other_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="metrics: expected a truth of shape"):
        hausdorff95_mm(voxel(1), voxel(1)[:, :3], spacing_mm=SPACING)
