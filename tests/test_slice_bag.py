from __future__ import annotations

from pathlib import Path

import brain_oracle
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, NormalizeIntensityd
from numpy.typing import NDArray

from custom_transforms.brain import ExtractBraind
from custom_transforms.brain_window import WindowBraind
from custom_transforms.ct_study import read_ct
from custom_transforms.slice_bag import SlicesToBagd
from custom_transforms.slice_quality import KeepGoodSlicesd
from data_lists.phantom_ct import make_head


def item(hu: NDArray[np.float32], affine: NDArray[np.float64], positions_mm: NDArray[np.float64]) -> dict[str, object]:
    image = torch.from_numpy(hu).permute(2, 1, 0)[None]
    meta = {"slice_positions_mm": torch.from_numpy(positions_mm)}
    return {"image": MetaTensor(image, affine=torch.from_numpy(affine), meta=meta), "case": "c1"}


def made_of(planes: NDArray[np.float32], *, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> dict[str, object]:
    return item(planes, np.diag([spacing_mm[1], spacing_mm[0], 5.0, 1.0]), np.arange(len(planes)) * 5.0)


def test_bag_keeps_rows_columns_and_order_of_slices() -> None:
    planes = np.random.default_rng(3).uniform(size=(3, 32, 32)).astype(np.float32)
    done = SlicesToBagd("image", size=32)(made_of(planes))
    assert type(done["image"]) is torch.Tensor
    assert done["image"].is_contiguous()
    assert torch.equal(done["image"], torch.from_numpy(planes)[:, None])
    assert done["slice_index"].tolist() == [0, 1, 2]


def test_only_the_kept_slices_go_in() -> None:
    planes = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 8, 8), np.float32)
    given = {**made_of(planes), "slice_index": torch.tensor([1, 3])}
    done = SlicesToBagd("image", size=8)(given)
    assert done["image"].amax((1, 2, 3)).tolist() == [1, 3]
    assert done["slice_index"].tolist() == [1, 3]
    assert given["image"].shape == (1, 8, 8, 4)


@pytest.mark.parametrize(
    ("shape", "spacing_mm"), [((60, 60), (2.0, 1.0)), ((40, 64), (1.0, 1.0)), ((30, 64), (2.0, 1.0))]
)
def test_disk_stays_round_whatever_the_pixels(shape: tuple[int, int], spacing_mm: tuple[float, float]) -> None:
    row, column = ((np.arange(count) - (count - 1) / 2) * step for count, step in zip(shape, spacing_mm, strict=True))
    plane = (np.hypot(row[:, None], column) < 15).astype(np.float32)
    picture = SlicesToBagd("image", size=128)(made_of(plane[None], spacing_mm=spacing_mm))["image"][0, 0]
    inside = picture > 0.5
    height, width = inside.any(1).sum().item(), inside.any(0).sum().item()
    assert height == pytest.approx(width, rel=0.08)
    assert picture[0, 0] == 0


def test_shrinking_smooths_what_the_small_grid_cannot_show() -> None:
    stripes = np.tile(np.array([0, 1], np.float32), (1, 64, 32))
    assert SlicesToBagd("image", size=16)(made_of(stripes))["image"][0, 0, 1:-1, 1:-1].sub(0.5).abs().max() < 0.01


def preprocessed(given: dict[str, object]) -> dict[str, object]:
    return Compose(
        [
            ExtractBraind("image"),
            KeepGoodSlicesd("image"),
            WindowBraind("image"),
            SlicesToBagd("image"),
            NormalizeIntensityd("image", nonzero=True, channel_wise=True),
        ]
    )(given)


def assert_equals_the_plain_way(hu: NDArray[np.float32], given: dict[str, object]) -> None:
    done = preprocessed(given)
    column_mm, row_mm = torch.linalg.norm(given["image"].affine[:3, :2], dim=0).tolist()
    brain = done["brain"][0].permute(2, 1, 0).numpy() > 0
    plain = brain_oracle.to_bag(hu, brain, spacing_mm=(row_mm, column_mm), kept=done["slice_index"].tolist())
    assert done["image"].shape == (len(plain), 1, 256, 256)
    assert np.abs(done["image"][:, 0].numpy() - plain).max() < 2e-6


def test_preprocessing_of_a_phantom_equals_the_plain_way() -> None:
    phantom = make_head(3, matrix=288)
    hu = phantom.hu.astype(np.float32)
    assert_equals_the_plain_way(hu, item(hu, phantom.affine, phantom.slice_positions_mm))


def test_preprocessing_of_a_real_head_equals_the_plain_way(real_scans: Path) -> None:
    scan = read_ct(real_scans / "head_ct_ge")
    assert_equals_the_plain_way(scan.hu, item(scan.hu, scan.affine, scan.slice_positions_mm))


def test_slice_that_is_all_one_value_becomes_zero() -> None:
    bag = torch.full((2, 1, 4, 4), 0.5)
    bag[1, 0, :2] = 0
    assert NormalizeIntensityd("image", nonzero=True, channel_wise=True)({"image": bag})["image"].abs().max() == 0
