from __future__ import annotations

import numpy as np
import pytest
import torch

from custom_transforms.tumour_counts import count_small_tumours, count_voxels, dice

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


def test_other_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="metrics: expected a truth of shape"):
        count_voxels(PRED, TRUTH[:1])
