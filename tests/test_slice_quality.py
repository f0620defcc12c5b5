from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError
from custom_transforms.slice_quality import KeepGoodSlicesd, SliceLimits, judge_slices


def brain_slices(count: int = 4, spread_hu: float = 10) -> NDArray[np.float32]:
    """Slices of 60 x 60 pixels of brain tissue."""
    return np.random.default_rng(5).normal(35, spread_hu, (count, 60, 60)).astype(np.float32)


def reasons(hu: NDArray[np.float32], region: NDArray[np.bool_] | None = None) -> dict[int, str]:
    whole = np.ones(hu.shape, bool) if region is None else region
    return judge_slices(hu, whole, pixel_cm2=0.01, limits=SliceLimits())  # a whole slice has 36 cm2


def item(hu: NDArray[np.float32], region: NDArray[np.bool_] | None = None) -> dict[str, object]:
    affine = torch.eye(4, dtype=torch.float64)
    volumes = {"image": hu} if region is None else {"image": hu, "brain": region.astype(np.uint8)}
    on_grid = {
        key: MetaTensor(torch.from_numpy(volume).permute(2, 1, 0)[None], affine=affine)
        for key, volume in volumes.items()
    }
    return {**on_grid, "case": "c1"}


def test_usual_slices_stay() -> None:
    assert reasons(brain_slices()) == {}


def test_asymmetry_drops_no_slice() -> None:
    hu = brain_slices(1)
    hu[0, 10:45, 5:25] = 75  # a bleeding, on one side
    hu[0, 45:, :30] = 15  # and oedema
    assert reasons(hu) == {}


def test_slice_with_little_brain_is_dropped() -> None:
    region = np.ones((3, 60, 60), bool)
    region[0] = False
    region[1, 10:] = False
    assert reasons(brain_slices(3), region) == {
        0: "too little brain: 0.0 cm2, at least 10",
        1: "too little brain: 6.0 cm2, at least 10",
    }


def test_blank_slice_is_dropped() -> None:
    hu = brain_slices()
    hu[2] = 30
    assert reasons(hu) == {2: "no contrast: spread 0.0 HU, at least 1.5"}


def test_metal_is_dropped_and_calcification_is_not() -> None:
    hu = brain_slices()
    hu[0, :4, :5] = 1200
    hu[1, :4, :5] = 3071
    assert reasons(hu) == {1: "metal: 0.56% above 2500 HU, at most 0.20%"}


def test_streaks_are_dropped() -> None:
    hu = brain_slices()
    hu[3, ::2] -= 45  # bright and dark streaks, as from a head that moved
    hu[3, 1::2] += 45
    assert list(reasons(hu)) == [3]
    assert reasons(hu)[3].startswith("motion or noise: spread ")


def test_transform_writes_kept_slices_and_reasons_and_leaves_the_image_whole() -> None:
    region = np.ones((4, 60, 60), bool)
    region[0] = False
    given = item(brain_slices(), region)
    done = KeepGoodSlicesd("image", min_area_cm2=8)(given)
    assert done["image"] is given["image"]
    assert done["slice_index"].dtype == torch.int64
    assert done["slice_index"].tolist() == [1, 2, 3]
    assert json.loads(done["dropped"]) == {"0": "too little brain: 0.0 cm2, at least 8"}
    assert "dropped" not in given


def test_without_a_brain_mask_the_head_is_judged() -> None:
    hu = brain_slices()
    hu[:, :, :20] = -1000
    hu[:, :, 20:25] = 900
    hu[0] = -1000
    assert KeepGoodSlicesd("image")(item(hu))["slice_index"].tolist() == [1, 2, 3]


def test_scan_without_a_usable_slice_is_refused() -> None:
    with pytest.raises(RefusedError, match="no_usable_slice: c1: expected a usable slice, got none of 4: no contrast"):
        KeepGoodSlicesd("image")(item(np.full((4, 60, 60), 30, np.float32)))
