"""Heuristics: silent on patients as they should be, and warning of those that were changed."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from custom_transforms.flipped_volumes import suspect_flips, suspect_mask_flip
from custom_transforms.mri_study import read_patient
from custom_transforms.suspicious_labels import suspect_labels
from custom_transforms.swapped_modalities import suspect_order
from data_lists.case_files import LABEL_CONVENTIONS, MODALITIES
from data_lists.phantom_mri import make_patient

PAIRS = tuple(combinations(range(4), 2))
SIDES = {0: "left and right", 1: "front and back", 2: "feet and head"}
DECLARED = {"brats2023": LABEL_CONVENTIONS["brats2023"]}  # its codes are those of the phantoms' regions
EXCHANGED = np.array([0, 2, 1, 3], np.uint8)  # what the Medical Segmentation Decathlon calls 1 and 2
Case = tuple[np.ndarray, np.ndarray, np.ndarray]


def phantom(index: int, spacing_mm: float = 4.0) -> Case:
    """Image and codes in RAS, and the affine."""
    shape = tuple(round(side / spacing_mm) for side in (240, 240, 155))
    patient = make_patient(index, shape=shape)
    affine = np.diag([*np.abs(np.diag(patient.affine))[:3], 1.0])
    return patient.image[:, ::-1, ::-1].astype(np.float32), patient.regions[::-1, ::-1], affine


@pytest.fixture(scope="module")
def case() -> Case:
    return phantom(0)


def swapped(image: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    order = [0, 1, 2, 3]
    order[pair[0]], order[pair[1]] = order[pair[1]], order[pair[0]]
    return image[order]


def flipped(image: np.ndarray, modality: int, axis: int) -> np.ndarray:
    changed = image.copy()
    changed[modality] = np.flip(image[modality], axis)
    return changed


def suspicions(image: np.ndarray, codes: np.ndarray, affine: np.ndarray) -> dict[str, tuple[str, ...]]:
    return {
        "order": suspect_order(image, affine),
        "flip": suspect_flips(image, affine),
        "mask": suspect_mask_flip(image, codes, affine),
        "labels": suspect_labels(image, codes, affine, DECLARED),
    }


def test_patient_as_he_should_be_gives_no_warning(case: Case) -> None:
    assert set(suspicions(*case).values()) == {()}


@pytest.mark.parametrize("pair", PAIRS)
def test_exchanged_modalities_are_named(case: Case, pair: tuple[int, int]) -> None:
    (warning,) = suspect_order(swapped(case[0], pair), case[2])
    first, second = (MODALITIES[number] for number in pair)
    assert warning.startswith("modalities may be exchanged: ")
    assert {f"{first} looks like {second}", f"{second} looks like {first}"} == set(warning.split(": ")[1].split(", "))


@pytest.mark.parametrize("modality", range(4))
@pytest.mark.parametrize("axis", range(3))
def test_one_modality_flipped_is_named(case: Case, modality: int, axis: int) -> None:
    warnings = suspect_flips(flipped(case[0], modality, axis), case[2])
    name = MODALITIES[modality]
    assert f"{name} may be flipped against the other modalities: {SIDES[axis]}" in warnings


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_whole_patient_flipped_is_noticed_but_for_left_and_right(case: Case, axes: tuple[int, ...]) -> None:
    sides = ", ".join(SIDES[axis] for axis in axes)
    turned = np.flip(case[0], [axis + 1 for axis in axes])
    assert suspect_flips(turned, case[2]) == (f"all modalities may be flipped: {sides}",)
    assert suspect_flips(np.flip(case[0], 1), case[2]) == ()


def test_brain_that_the_volume_cuts_is_not_judged(case: Case) -> None:
    image = np.flip(case[0], 3)
    middle = image.shape[3] // 2
    assert suspect_flips(image[..., :middle], case[2]) == ()


@pytest.mark.parametrize("axis", range(3))
def test_flipped_mask_is_noticed(case: Case, axis: int) -> None:
    (warning,) = suspect_mask_flip(case[0], np.flip(case[1], axis), case[2])
    assert warning == f"the mask may be flipped against the images: {SIDES[axis]}"


def test_codes_of_another_convention_are_noticed(case: Case) -> None:
    (warning,) = suspect_labels(case[0], EXCHANGED[case[1]], case[2], DECLARED)
    assert warning.startswith("the labels look like another convention than brats2023 (code 2 looks like necrotic core")
    declared = {"msd": LABEL_CONVENTIONS["msd"]}
    assert suspect_labels(case[0], EXCHANGED[case[1]], case[2], declared) == ()


def test_image_too_small_to_judge_gives_no_warning() -> None:
    noise = np.random.default_rng(1).normal(size=(4, 9, 9, 9)).astype(np.float32)
    assert set(suspicions(noise, np.ones((9, 9, 9), np.uint8), np.eye(4)).values()) == {()}


def count(name: str, case: Case, alarms: Counter[str], changes: Counter[str], noticed: Counter[str]) -> None:
    """Count false alarms on a patient, and how many changes of him are noticed."""
    image, codes, affine = case
    alarms.update(f"{rule} {name}" for rule, found in suspicions(*case).items() if found)

    def note(change: str, warnings: tuple[str, ...]) -> None:
        changes[change] += 1
        noticed[change] += bool(warnings)

    for pair in PAIRS:
        note("T1 with T1ce" if pair == (1, 2) else "other pairs", suspect_order(swapped(image, pair), affine))
    for axis in range(3):
        note("one modality flipped", suspect_flips(flipped(image, axis, axis), affine))
        note("mask flipped", suspect_mask_flip(image, np.flip(codes, axis), affine))
    for axis in (1, 2):
        note("all modalities flipped", suspect_flips(np.flip(image, axis + 1), affine))
    if min(np.count_nonzero(codes == code) for code in (1, 2)) >= 20:  # of fewer voxels nothing is said
        note("codes exchanged", suspect_labels(image, EXCHANGED[codes], affine, DECLARED))


@pytest.mark.soak
def test_rates_on_a_hundred_phantoms() -> None:
    alarms, changes, noticed = Counter[str](), Counter[str](), Counter[str]()
    for index in range(100):
        count(str(index), phantom(index, 3.0), alarms, changes, noticed)
    for change, number in changes.items():
        print(f"{change}: {noticed[change]} of {number} noticed")
        assert noticed[change] >= 0.9 * number, change
    print(f"false alarms: {dict(alarms)}")
    for rule in ("order", "flip", "mask", "labels"):
        assert sum(key.startswith(rule) for key in alarms) <= 5, rule


def test_every_change_of_the_real_glioma_is_noticed(real_scans: Path) -> None:
    alarms, changes, noticed = Counter[str](), Counter[str](), Counter[str]()
    prefix = real_scans / "mri_glioma" / "TCGA-DU-7294" / "TCGA-DU-7294_"
    files = [f"{prefix}{name}.nii.gz" for name in ("flair", "t1", "t1ce", "t2")]
    image, _, codes = read_patient(files, label=f"{prefix}seg.nii.gz", codes=DECLARED["brats2023"])
    assert codes is not None
    half = image[:, ::-2, ::-2, ::2], codes[::-2, ::-2, ::2], np.diag([2.0, 2, 2, 1])  # LPS to RAS
    count("glioma", half, alarms, changes, noticed)
    assert alarms == {}
    assert noticed == changes
