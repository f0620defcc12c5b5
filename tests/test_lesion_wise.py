from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from custom_transforms.evidence.lesion_wise import (
    FALSE_POSITIVE,
    FOUND,
    MISSED,
    LesionRules,
    compare_lesions,
    lesion_wise_scores,
)
from custom_transforms.tumour_surfaces import hausdorff95_by_area_mm

GLIOMA, METASTASES = LesionRules(), LesionRules(dilation_voxels=1, min_volume_mm3=2)
CUBIC = (1.0, 1.0, 1.0)
Voxel = tuple[int, ...]


def volume(*boxes: tuple[slice, slice, slice], shape: tuple[int, int, int] = (40, 16, 16)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[box] = True
    return mask


def cube(x: int, side: int = 5) -> tuple[slice, slice, slice]:
    """A cube that begins at `x`; its neighbours lie along x."""
    return (slice(x, x + side), slice(4, 4 + side), slice(4, 4 + side))


def found(pred: np.ndarray, truth: np.ndarray, rules: LesionRules = GLIOMA) -> list[tuple[str, float]]:
    return [(one.found, one.dice) for one in compare_lesions(pred, truth, spacing_mm=CUBIC, rules=rules)]


def test_found_missed_and_false_positive_by_hand() -> None:
    # Of two lesions, far apart, one is marked exactly and one not at all, and 8 voxels elsewhere are marked.
    truth, pred = volume(cube(2), cube(20, 4)), volume(cube(2), cube(35, 2))
    lesions = compare_lesions(pred, truth, spacing_mm=CUBIC, rules=GLIOMA)
    assert [(one.found, one.volume_ml, one.dice, one.hd95_mm) for one in lesions] == [
        (FOUND, 0.125, 1, 0), (MISSED, 0.064, 0, 374), (FALSE_POSITIVE, 0.008, 0, 374)
    ]  # fmt: skip
    assert lesion_wise_scores(lesions) == pytest.approx((1 / 3, 2 * 374 / 3))


def test_lesions_that_meet_once_dilated_are_one() -> None:
    # A cube from 2 ends at 6 and grows to 9; one from 13 grows to 10, next to it; one from 14 grows to 11 only.
    empty = volume()
    assert found(empty, volume(cube(2), cube(13))) == [(MISSED, 0)]
    assert found(empty, volume(cube(2), cube(14))) == [(MISSED, 0)] * 2
    assert found(empty, volume(cube(2), cube(13)), METASTASES) == [(MISSED, 0)] * 2


def test_a_mark_beside_a_lesion_belongs_to_it_as_far_as_it_dilates() -> None:
    # The lesion grows to 9.
    assert found(volume(cube(9, 2)), volume(cube(2))) == [(FOUND, 0)]
    assert found(volume(cube(10, 2)), volume(cube(2))) == [(MISSED, 0), (FALSE_POSITIVE, 0)]


def test_all_marks_of_a_lesion_are_compared_together_and_one_mark_with_each_of_its_lesions() -> None:
    # 125 voxels, marked by their first and last layer: 50 of 50 are right.
    ends = volume(cube(2)) & ~volume((slice(3, 6), slice(None), slice(None)))
    assert found(ends, volume(cube(2))) == [(FOUND, 2 * 50 / (50 + 125))]
    # A bar of 26 x 5 x 5 covers two lesions of 5 x 5 x 5.
    bar = volume((slice(2, 28), slice(4, 9), slice(4, 9)))
    assert found(bar, volume(cube(2), cube(23))) == [(FOUND, 2 * 125 / (650 + 125))] * 2


def test_corners_connect() -> None:
    # Two voxels that touch at a corner alone are one component of 26-neighbours.
    pair = volume((slice(2, 3), slice(4, 5), slice(4, 5)), (slice(3, 4), slice(5, 6), slice(5, 6)))
    assert found(pair, volume()) == [(FALSE_POSITIVE, 0)]
    # Dilation takes 18-neighbours: once, it reaches an edge's neighbour but not a corner's.
    one, edge, corner = (volume((slice(x, x + 1), slice(y, y + 1), slice(4, 5))) for x, y in ((2, 4), (3, 5), (3, 5)))
    corner = np.roll(corner, 1, axis=2)
    assert found(edge, one, METASTASES) == [(FOUND, 0)]
    assert found(corner, one, METASTASES) == [(MISSED, 0), (FALSE_POSITIVE, 0)]


@pytest.mark.parametrize(("layers", "counted"), [(2, False), (3, True)])
def test_lesions_of_50_mm3_are_not_counted(layers: int, counted: bool) -> None:
    truth = volume((slice(2, 7), slice(4, 9), slice(4, 4 + layers)))  # 25 voxels a layer
    assert lesion_wise_scores(compare_lesions(volume(), truth, spacing_mm=CUBIC, rules=GLIOMA)) == (
        (0, 374) if counted else (1, 0)
    )
    lesions = compare_lesions(truth, truth, spacing_mm=CUBIC, rules=GLIOMA)
    assert [(one.found, one.counted) for one in lesions] == [(FOUND, counted)]  # and no false positive


def test_volume_is_in_mm() -> None:
    small = {"spacing_mm": (0.5, 0.5, 1.0), "rules": GLIOMA}
    (lesion,) = compare_lesions(volume(), volume(cube(2)), **small)  # 125 voxels of 0.25 mm3
    assert (lesion.volume_ml, lesion.counted) == (0.03125, False)


def test_nothing_marked_where_nothing_is_scores_full() -> None:
    lesions = compare_lesions(volume(), volume(), spacing_mm=CUBIC, rules=GLIOMA)
    assert (lesions, lesion_wise_scores(lesions)) == ([], (1, 0))


def test_without_dilation_only_what_overlaps_belongs() -> None:
    rules = LesionRules(dilation_voxels=0)
    assert found(volume(cube(7, 2)), volume(cube(2)), rules) == [(MISSED, 0), (FALSE_POSITIVE, 0)]
    assert found(volume(cube(6, 2)), volume(cube(2)), rules) == [(FOUND, 2 * 4 / (8 + 125))]


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to five boxes in truth and prediction, shifted, and some in one of them alone."""
    rng = np.random.default_rng(seed)
    truth, pred = np.zeros((2, 24, 20, 16), bool)
    for _ in range(5):
        corner = [int(rng.integers(0, side - 6)) for side in truth.shape]
        size, shift, left_out = rng.integers(1, 7, 3), rng.integers(-2, 3, 3), rng.random(2) < 0.25
        for mask, move, absent in zip((pred, truth), (0 * shift, shift), left_out, strict=True):
            starts = [max(0, at + int(by)) for at, by in zip(corner, move, strict=True)]
            if not absent:
                mask[tuple(slice(at, at + int(long)) for at, long in zip(starts, size, strict=True))] = True
    return pred, truth


@pytest.mark.parametrize(
    ("seed", "rules", "spacing_mm", "expected"),
    [
        (3, GLIOMA, CUBIC, (0.348008, 2.0)),
        (3, METASTASES, (0.8, 1.2, 2.0), (0.189931, 2.15407)),
        (6, METASTASES, CUBIC, (0.216489, 152.49403)),
        (6, METASTASES, (0.8, 1.2, 2.0), (0.216489, 152.66628)),
        (7, GLIOMA, CUBIC, (0.477612, 4.12311)),
        (7, METASTASES, CUBIC, (0.183908, 126.07869)),
    ],
)
def test_scores_are_those_of_the_challenges_program(
    seed: int, rules: LesionRules, spacing_mm: tuple[float, ...], expected: tuple[float, float]
) -> None:
    # Of eval.py of BraTS-2023-Metrics, commit 0e272e6, run on these masks with surface-distance 0.1 and cc3d 4.1.1.
    lesions = compare_lesions(*blobs(seed), spacing_mm=spacing_mm, rules=rules)
    assert lesion_wise_scores(lesions) == pytest.approx(expected, abs=1e-5)


def neighbours(voxel: Voxel, most: int) -> set[Voxel]:
    """Voxels around one that differ along at most so many axes, and itself."""
    steps = [step for step in product((-1, 0, 1), repeat=3) if sum(map(abs, step)) <= most]
    return {tuple(a + b for a, b in zip(voxel, step, strict=True)) for step in steps}


def components(voxels: set[Voxel]) -> list[set[Voxel]]:
    rest, parts = set(voxels), []
    while rest:
        part, edge = set(), {rest.pop()}
        while edge:
            part |= edge
            edge = {near for voxel in edge for near in neighbours(voxel, 3)} & rest
            rest -= edge
        parts.append(part)
    return parts


def dilate(voxels: set[Voxel], times: int) -> set[Voxel]:
    for _ in range(times):
        voxels = voxels | {near for voxel in voxels for near in neighbours(voxel, 2)}
    return voxels


def as_mask(voxels: set[Voxel], shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(np.array(sorted(voxels)).T)] = True
    return mask


def obvious_scores(pred: np.ndarray, truth: np.ndarray, rules: LesionRules) -> tuple[float, float]:
    """The seven rules with sets of voxels, of 1 mm, whose tumours keep away from the border."""
    marked, tumour = ({tuple(voxel) for voxel in np.argwhere(mask).tolist()} for mask in (pred, truth))
    parts, used, scores = components(marked), [], []
    for dilated in components(dilate(tumour, rules.dilation_voxels)):
        lesion = dilated & tumour
        mine = [part for part in parts if part & dilate(lesion, rules.dilation_voxels)]
        used += mine
        joined = set().union(*mine)
        if len(lesion) > rules.min_volume_mm3:
            masks = [as_mask(voxels, pred.shape) for voxels in (joined, lesion) if voxels]
            hd95 = hausdorff95_by_area_mm(*masks, spacing_mm=CUBIC) if joined else rules.penalty_mm
            scores.append((2 * len(joined & lesion) / (len(joined) + len(lesion)), hd95))
    scores += [(0.0, rules.penalty_mm) for part in parts if part not in used]
    return tuple(np.mean(scores, axis=0)) if scores else (1.0, 0.0)


@pytest.mark.parametrize("rules", [GLIOMA, METASTASES], ids=["glioma", "metastases"])
@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_the_obvious_ones(seed: int, rules: LesionRules) -> None:
    pred, truth = (np.pad(mask, 4) for mask in blobs(100 + seed))
    lesions = compare_lesions(pred, truth, spacing_mm=CUBIC, rules=rules)
    assert lesion_wise_scores(lesions) == pytest.approx(obvious_scores(pred, truth, rules))


@pytest.mark.parametrize("wrong", [{"dilation_voxels": -1}, {"dilation_voxels": 0.5}, {"min_volume_mm3": -1}])
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LesionRules(**wrong)
