from __future__ import annotations

from pathlib import Path

import brain_oracle
import cv2
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation
from numpy.typing import NDArray
from scipy import ndimage

from custom_transforms.brain import ExtractBrain, ExtractBraind
from custom_transforms.brain_region import extract_brain
from custom_transforms.brain_shapes import disk
from custom_transforms.ct_study import read_ct
from custom_transforms.refusal import RefusedError
from data_lists.phantom_ct import make_head

Mask = NDArray[np.bool_]
SPACING_MM = (2.0, 2.0)
POSITIONS_MM = np.arange(8) * 6.0


def head(slices: int = 8) -> tuple[NDArray[np.float32], Mask]:
    """A cylinder of brain, radius 60 mm, in 8 mm of bone, 6 mm of fat and a closed ring of scalp; and its brain."""
    row, column = np.mgrid[-50:50, -50:50] * 2.0
    radius_mm = np.hypot(row, column)
    plane = np.select([radius_mm < 60, radius_mm < 68, radius_mm < 74, radius_mm < 82], [35, 900, -90, 40], -1000)
    return np.repeat(plane[None], slices, 0).astype(np.float32), np.repeat(radius_mm[None] < 60, slices, 0)


def brain_of(hu: NDArray[np.float32]) -> Mask:
    return extract_brain(hu, spacing_mm=SPACING_MM, slice_positions_mm=POSITIONS_MM[: len(hu)])


def dice(first: Mask, second: Mask) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def hull_of_skull(bone: Mask) -> Mask:
    """The convex hull of the largest piece of bone, `(R, C)`."""
    labels, _ = ndimage.label(bone)
    skull = labels == np.bincount(labels[bone]).argmax()
    hull = cv2.convexHull(np.argwhere(skull)[:, ::-1].astype(np.int32))
    return cv2.fillConvexPoly(np.zeros(bone.shape, np.uint8), hull, 1) > 0


def item(hu: NDArray[np.float32]) -> dict[str, object]:
    affine = torch.diag(torch.tensor([-2.0, -2.0, 6.0, 1.0], dtype=torch.float64))
    meta = {"slice_positions_mm": torch.from_numpy(POSITIONS_MM[: len(hu)])}
    return {"image": MetaTensor(torch.from_numpy(hu).permute(2, 1, 0)[None], affine=affine, meta=meta), "case": "c1"}


def test_closed_ring_of_scalp_is_left_out() -> None:
    hu, brain = head()
    assert dice(brain_of(hu), brain) > 0.98
    assert not (brain_of(hu) & (hu != 35)).any()


def test_ventricles_and_calcification_belong_to_the_brain() -> None:
    hu, _ = head()
    hu[3, 40:50, 40:50] = 5
    hu[3, 60:63, 60:63] = 700
    found = brain_of(hu)
    assert found[3, 40:50, 40:50].all()
    assert found[3, 60:63, 60:63].all()


def test_orbit_that_opens_the_ring_of_bone_loses_no_slice() -> None:
    hu, brain = head()
    hu[1:3, 5:25, 47:53] = 35  # a gap of 12 mm through bone, fat and scalp, in two lower slices
    hu[1:3, 5:12, 35:65] = 35  # and soft tissue in front of it
    found = brain_of(hu)
    assert [dice(found[number], brain[number]) > 0.97 for number in (1, 2)] == [True, True]
    assert not found[:, :12].any()


def test_neck_below_the_brain_stays_out() -> None:
    hu, _ = head()
    row, column = np.mgrid[-50:50, -50:50] * 2.0
    canal_mm = np.hypot(row, column)
    hu[:3] = np.select([canal_mm < 12, canal_mm < 25, canal_mm < 74], [35, 900, 50], -1000)
    hu[3] = np.select([canal_mm < 21, canal_mm < 68, canal_mm < 74], [35, 900, 40], -1000)  # 13 cm2 of cerebellum
    found = brain_of(hu)
    assert found.any(axis=(1, 2)).tolist() == [False, False, False, True, True, True, True, True]


@pytest.mark.parametrize("spoilt", [slice(None), slice(40, None)], ids=["wholly", "in part"])
def test_slice_spoilt_by_metal_does_not_lose_the_ones_beyond(spoilt: slice) -> None:
    hu, brain = head()
    hu[3, spoilt] = 3000
    found = brain_of(hu)
    assert min(dice(found[number], brain[number]) for number in (0, 1, 2, 4, 5, 6, 7)) > 0.98


def test_sizes_are_in_mm_whatever_the_pixels_and_steps() -> None:
    hu, brain = head()
    found = extract_brain(
        np.ascontiguousarray(hu[:, ::2]), spacing_mm=(4.0, 2.0), slice_positions_mm=np.cumsum([1, 1, 7, 7, 2, 9, 1, 5])
    )
    assert min(map(dice, found, brain[:, ::2])) > 0.96
    assert disk(3.0, (1.0, 2.0)).shape == (7, 3)


def test_volume_without_bone_around_soft_tissue_has_no_brain() -> None:
    hu, _ = head()
    assert not brain_of(np.where(hu > 100, 40, hu).astype(np.float32)).any()


@pytest.mark.parametrize("index", [0, 2])
def test_fast_way_equals_the_plain_one_on_phantoms(index: int) -> None:
    phantom = make_head(index, matrix=128)
    hu, spacing_mm = phantom.hu.astype(np.float32), (phantom.scanner.pixel_mm, phantom.scanner.pixel_mm)
    found = extract_brain(hu, spacing_mm=spacing_mm, slice_positions_mm=phantom.slice_positions_mm)
    plain = brain_oracle.extract_brain(hu, spacing_mm=spacing_mm, slice_positions_mm=phantom.slice_positions_mm)
    assert found.any()
    assert np.array_equal(found, plain)


def test_brain_of_phantoms_is_found_in_every_slice() -> None:
    scores, worst = [], []
    for index in (9, 10, 11, 41):
        phantom = make_head(index)
        hu, pixel_mm = phantom.hu.astype(np.float32), phantom.scanner.pixel_mm
        found = extract_brain(hu, spacing_mm=(pixel_mm,) * 2, slice_positions_mm=phantom.slice_positions_mm)
        scores.append(dice(found, phantom.brain))
        worst += [dice(*pair) for pair in zip(found, phantom.brain, strict=True) if pair[1].mean() > 0.05]
    assert np.mean(scores) >= 0.97
    assert min(worst) >= 0.90


def test_real_head_keeps_the_area_that_was_judged_by_eye(real_scans: Path) -> None:
    scan = read_ct(real_scans / "head_ct_ge")
    spacing_mm = tuple(np.linalg.norm(scan.affine[:3, (1, 0)], axis=0).tolist())
    found = extract_brain(scan.hu, spacing_mm=spacing_mm, slice_positions_mm=scan.slice_positions_mm)
    area_cm2 = found.sum(axis=(1, 2)) * spacing_mm[0] * spacing_mm[1] / 100
    judged_cm2 = [0, 0, 0, 0, 0, 19.7, 45.5, 67.8, 89.8, 106.9, 126.6, 152.1, 168.7, 176.1, 175.3]
    judged_cm2 += [183.1, 185.3, 183.5, 177.0, 167.3, 154.9, 138.9, 120.7, 96.6, 68.4, 38.6, 9.3, 0]
    assert area_cm2 == pytest.approx(judged_cm2, rel=0.05)
    outside_air = np.stack([ndimage.binary_fill_holes(plane) for plane in scan.hu > -300])
    depth_mm = [ndimage.distance_transform_edt(plane, sampling=spacing_mm) for plane in outside_air]
    assert np.min(np.asarray(depth_mm)[found]) > 3
    assert not any((plane & ~hull_of_skull(hu > 150)).any() for plane, hu in zip(found, scan.hu, strict=True))


def test_fast_way_equals_the_plain_one_on_a_real_head(real_scans: Path) -> None:
    scan = read_ct(real_scans / "head_ct_ge")
    hu = np.ascontiguousarray(scan.hu[::3, ::2, ::2])  # the plain way takes 20 s on the whole
    places = {"spacing_mm": (0.977, 0.977), "slice_positions_mm": scan.slice_positions_mm[::3]}
    found = extract_brain(hu, **places)
    assert found.sum() > 50_000
    assert np.array_equal(found, brain_oracle.extract_brain(hu, **places))


def test_transform_masks_the_image_and_leaves_its_input_alone() -> None:
    hu, _ = head()
    given = item(hu)
    done = ExtractBraind("image")(given)
    mask = done["brain"][0].permute(2, 1, 0).numpy()
    assert done["brain"].dtype == torch.uint8
    assert torch.equal(done["brain"].affine, done["image"].affine)
    assert np.array_equal(mask > 0, brain_of(hu))
    assert np.array_equal(done["image"][0].permute(2, 1, 0).numpy(), np.where(mask > 0, hu, -1000))
    assert torch.equal(done["image"].meta["slice_positions_mm"], torch.from_numpy(POSITIONS_MM))
    assert "brain" not in given
    assert np.array_equal(given["image"][0].permute(2, 1, 0).numpy(), head()[0])


def test_scan_without_brain_is_refused() -> None:
    with pytest.raises(RefusedError, match="no_brain: c1: expected soft tissue enclosed by bone, got none"):
        ExtractBraind("image")(item(np.full((4, 50, 50), 30, np.float32)))


def test_range_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected low_hu < high_hu <= bone_hu, got 100, 50, 150"):
        ExtractBraind("image", low_hu=100, high_hu=50)


def test_brain_is_followed_only_where_the_axes_are_as_expected() -> None:
    image = item(head()[0])["image"]
    upside_down = Orientation("LPI", labels=None)(image)
    with pytest.raises(ValueError, match="expected orientation LPS, as the brain is followed to the feet, got LPI"):
        ExtractBrain()(upside_down)
    brain, mask = ExtractBrain()(Orientation("LPS", labels=None)(upside_down))
    assert torch.equal(mask, ExtractBraind("image")(item(head()[0]))["brain"])
    assert torch.equal(brain > -1000, mask > 0)
