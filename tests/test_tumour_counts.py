from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, distance_transform_edt

from custom_transforms.tumour_counts import count_small_tumours, count_voxels, dice, hausdorff95_mm

RNG = np.random.default_rng(3)
PRED = torch.from_numpy(RNG.random((2, 30, 30, 5)) < 0.4)
TRUTH = torch.from_numpy(RNG.random((2, 30, 30, 5)) < 0.3)


def obvious_counts(pred: torch.Tensor, truth: torch.Tensor) -> list[list[int]]:
    pairs = [
        list(zip(p.flatten().tolist(), t.flatten().tolist(), strict=True)) for p, t in zip(pred, truth, strict=True)
    ]
    return [[of_region.count(pair) for of_region in pairs] for pair in ((1, 1), (1, 0), (0, 1), (0, 0))]


def test_counts_equal_the_obvious_ones() -> None:
    assert [column.tolist() for column in count_voxels(PRED, TRUTH)] == obvious_counts(PRED, TRUTH)


def test_small_tumour_counts_leave_out_slices_with_none_or_a_large_one() -> None:
    truth = torch.zeros(1, 30, 30, 4)
    truth[0, :5, :5, 1] = 1  # 25 pixels: small
    truth[0, :23, :23, 2] = 1  # 529 pixels: large
    truth[0, :20, :25, 3] = 1  # 500 pixels: no longer small
    pred = torch.ones_like(truth)
    assert [int(column) for column in count_small_tumours(pred, truth)] == [25, 900 - 25, 0, 0]


def test_dice_of_empty_masks() -> None:
    empty, full = torch.zeros(1, 4, 4, 2), torch.ones(1, 4, 4, 2)
    assert dice(count_voxels(empty, empty)).item() == 1
    assert dice(count_voxels(full, empty)).item() == 0
    assert dice(count_voxels(full, full)).item() == 1


def surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~binary_erosion(mask)


def test_hausdorff_distance_in_mm_equals_the_slow_one() -> None:
    spacing = (1.0, 2.0, 3.5)
    pred, truth = np.zeros((2, 16, 14, 9), bool)
    pred[3:9, 4:10, 2:7] = truth[4:12, 3:9, 3:8] = True
    both = []
    for one, other in ((pred, truth), (truth, pred)):
        both.append(np.percentile(distance_transform_edt(~surface(other), sampling=spacing)[surface(one)], 95))
    found = hausdorff95_mm(torch.from_numpy(pred)[None], torch.from_numpy(truth)[None], spacing_mm=spacing)
    assert found.item() == pytest.approx(max(both), rel=1e-5)


def test_hausdorff_distance_of_empty_masks() -> None:
    masks = torch.zeros(3, 3, 4, 12, dtype=torch.bool)
    pred, truth = masks.clone(), masks.clone()
    pred[1, 1, 1, 1] = truth[2, 1, 1, 1] = True
    assert hausdorff95_mm(pred, truth, spacing_mm=(1, 1, 1)).tolist() == pytest.approx([0, 13, 13])  # 3, 4, 12


def test_other_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="metrics: expected a truth of shape"):
        count_voxels(PRED, TRUTH[:1])
