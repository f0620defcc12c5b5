"""Only a head CT in Hounsfield units, with enough brain, goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientationd
from numpy.typing import NDArray

from custom_transforms.check_head import CheckHeadd, slice_positions
from custom_transforms.load_ct import LoadImageStudyd
from custom_transforms.refusal import RefusedError
from data_lists.phantom_ct import make_head

Volume = NDArray[np.float32]
STEP_MM, PIXEL_MM = 6.0, 1.0


def ellipsoid_head() -> Volume:
    """A skull of 6 mm around brain of 30 HU, `(28, 200, 180)`, with noise of 3 HU."""
    s, r, c = np.ogrid[0:28, 0:200, 0:180]
    distance = np.sqrt(((s - 13) * STEP_MM / 75) ** 2 + ((r - 100) / 85) ** 2 + ((c - 90) / 70) ** 2)
    hu = np.select([distance < 0.92, distance < 1.0, distance < 1.06], [30.0, 1000.0, 40.0], -1000.0)
    return (hu + np.random.default_rng(88).normal(0, 3, hu.shape)).astype(np.float32)


def as_item(hu: Volume, pixel_mm: float = PIXEL_MM, step_mm: float = STEP_MM) -> dict[str, object]:
    affine = torch.diag(torch.tensor([-pixel_mm, -pixel_mm, step_mm, 1.0], dtype=torch.float64))
    meta = {"slice_positions_mm": torch.arange(len(hu), dtype=torch.float64) * step_mm}
    return {"image": MetaTensor(torch.from_numpy(hu).permute(2, 1, 0)[None], affine=affine, meta=meta), "case": "p1"}


def test_a_head_goes_on_unchanged() -> None:
    item = as_item(ellipsoid_head())
    before = item["image"].clone()
    after = CheckHeadd()(item)
    assert after is not item
    assert after["image"] is item["image"]
    assert torch.equal(after["image"], before)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda hu: hu + 1024, "implausible_hu: p1: expected air"),
        (lambda hu: -hu, "implausible_hu"),
        (lambda hu: np.clip(hu, 0, 80) / 80 * 255, "implausible_hu"),
        (lambda hu: np.clip(hu, -1000, 80), "implausible_hu: .* bone above 500"),
        (lambda hu: np.zeros_like(hu), "implausible_hu"),
        (lambda hu: np.where(hu > 1005, np.nan, hu), "implausible_hu: .* NaN"),
        (lambda hu: np.where(hu > 1005, np.inf, hu), "implausible_hu: .* NaN or infinity"),
        (lambda hu: hu + 100, "implausible_hu: .* median of 15 to 50 HU inside the skull, got 130"),
        (lambda hu: 32 * np.rint(hu / 32), "implausible_hu: .* grey levels"),
        (lambda hu: hu[:8], "too_little_head"),
        (lambda hu: hu[9:18], "too_little_head: .* got 54 mm"),
        (
            lambda hu: np.where(np.arange(200)[:, None] == 0, 600, np.minimum(hu, 60)),
            "not_a_head: .* one over 0 mm",
        ),
        (lambda hu: np.where(np.arange(180) < 90, -1000, hu), "not_a_head"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_head_ct_is_refused(change: Callable[[Volume], Volume], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        CheckHeadd()(as_item(change(ellipsoid_head()).astype(np.float32)))


def opened(hu: Volume) -> Volume:
    """Take the bone of one side out of five slices in the middle, as an operation does."""
    side = (np.arange(28)[:, None, None] // 5 == 2) & (np.arange(180) > 110)
    return np.where(side & (hu > 200), np.float32(40), hu)


def test_head_with_an_opened_skull_goes_on() -> None:
    assert CheckHeadd()(as_item(opened(ellipsoid_head())))["case"] == "p1"


def test_spoilt_slice_within_an_opened_skull_is_refused() -> None:
    hu = opened(ellipsoid_head())
    hu[12] += 1024
    with pytest.raises(
        RefusedError, match="implausible_hu: p1: expected air .* bone .* in slice 13 of 28 from the feet"
    ):
        CheckHeadd()(as_item(hu))
    hu[12] = opened(ellipsoid_head())[12] - 200
    with pytest.raises(RefusedError, match=r"a median of -10 to 80 HU .*, got -170 in slice 13 of 28"):
        CheckHeadd()(as_item(hu))


@pytest.mark.parametrize(("pixel_mm", "step_mm"), [(0.1, 6), (1.6, 6), (1, 0.3), (1, 12.5)])
def test_impossible_spacing_is_refused(pixel_mm: float, step_mm: float) -> None:
    with pytest.raises(RefusedError, match="implausible_spacing"):
        CheckHeadd()(as_item(ellipsoid_head(), pixel_mm, step_mm))


def test_positions_for_other_slices_are_refused() -> None:
    item = as_item(ellipsoid_head())
    item["image"] = item["image"][..., 1:]
    with pytest.raises(
        RefusedError, match="implausible_spacing: p1: expected a position for each slice, got 28 for 27"
    ):
        CheckHeadd()(item)


def test_positions_come_from_the_affine_where_none_were_read() -> None:
    affine = torch.tensor([[-1.0, 0, 0, 0], [0, -0.9, 1, 0], [0, 0.3, 5, 0], [0, 0, 0, 1]])
    image = MetaTensor(torch.zeros(1, 4, 4, 3), affine=affine)
    # distance of the planes: volume of a voxel / area of its face = |det| / |x cross y| = 4.8 / 0.9487
    np.testing.assert_allclose(slice_positions(image), [0, 5.0596, 10.1193], atol=1e-4)


def test_limits_are_knobs() -> None:
    item = as_item(ellipsoid_head()[9:18])
    assert CheckHeadd(height_mm=50)(item)["case"] == "p1"
    with pytest.raises(ValueError, match="brain_hu must ascend"):
        CheckHeadd(brain_hu=(50, 15))


@pytest.mark.parametrize("index", range(12))
def test_phantom_heads_go_on(index: int) -> None:
    head = make_head(index, matrix=192)
    item = as_item(head.hu.astype(np.float32))
    item["image"].affine = torch.from_numpy(head.affine)
    item["image"].meta["slice_positions_mm"] = torch.from_numpy(head.slice_positions_mm)
    CheckHeadd()(item)


def test_real_head_goes_on_and_abdomen_is_refused(real_scans: Path) -> None:
    orient = Orientationd("image", axcodes="LPS")
    CheckHeadd()(orient(LoadImageStudyd()({"image": real_scans / "head_ct_ge"})))
    abdomen = orient(LoadImageStudyd()({"image": real_scans / "ct_abdomen" / "example_ct.nii.gz"}))
    with pytest.raises(RefusedError, match="implausible_spacing: example_ct"):
        CheckHeadd()(abdomen)
    with pytest.raises(RefusedError, match="not_a_head: example_ct: expected a closed shell of bone"):
        CheckHeadd(pixel_mm=(0.2, 3.5))(abdomen)
