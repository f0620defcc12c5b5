"""Masks that do not belong to their image or convention, and those that only look odd."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from small_cases import add_case, save

from custom_transforms.check_study import check_study
from custom_transforms.fit_study import FitStudy
from custom_transforms.label_map import read_label_map
from custom_transforms.refusal import RefusedError

SHAPE = (6, 5, 4)
GRID = np.diag([10.0, 10, 10, 1])


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    return add_case(tmp_path, "P1", seed=1) / "P1"


def check(patient: Path, mask: np.ndarray, convention: str | None, affine: np.ndarray = GRID) -> FitStudy:
    nib.save(nib.Nifti1Image(mask, affine, dtype=mask.dtype), patient / "P1_seg.nii.gz")
    return check_study(patient, "brats", labels=True, label_convention=convention)


def codes(*present: float, kind: type = np.uint8) -> np.ndarray:
    mask = np.zeros(SHAPE, np.float64)
    mask.flat[: 3 * len(present)] = np.repeat(present, 3)
    return mask.astype(kind)


@pytest.mark.parametrize(
    ("mask", "convention", "reason"),
    [
        (codes(1, 2, 3), "brats2018", "unknown_label"),
        (codes(1, 2, 4), "brats2023", "unknown_label"),
        (codes(1, 4), "msd", "unknown_label"),
        (codes(1, 2, 5), "brats2024", "unknown_label"),
        (codes(1, 2, 5), None, "unknown_label"),
        (codes(1, 2, 3, 4), None, "unknown_label"),  # 3 and 4
        (codes(3, 4), "brats2018", "unknown_label"),
        (codes(85, 170, 255), None, "unknown_label"),  # scaled
        (codes(63.75, 127.5, 255, kind=np.float32), None, "fractional_label"),
        (codes(0.25, 0.5, 1, kind=np.float32), "brats2018", "fractional_label"),
        (codes(1, 2.5, kind=np.float64), None, "fractional_label"),
        (codes(1.02, kind=np.float32), None, "fractional_label"),
        (codes(255, 254, 252), "brats2018", "unknown_label"),  # -1, -2, -4 in 8 bits
        (codes(-1, -2, kind=np.int16), None, "unknown_label"),
        (codes(257, 258, kind=np.int16), None, "unknown_label"),  # 1, 2 in 8 bits
        (codes(2**32 + 1, kind=np.int64), "brats2018", "unknown_label"),
        (codes(1, np.nan, kind=np.float32), "brats2018", "fractional_label"),
        (codes(1, np.inf, kind=np.float32), None, "fractional_label"),
        (codes(1, 2)[:5], "brats2018", "shape_mismatch"),
        (codes(1, 2)[..., None].repeat(2, axis=3), "brats2018", "shape_mismatch"),
    ],
)
def test_mask_that_cannot_be(patient: Path, mask: np.ndarray, convention: str | None, reason: str) -> None:
    with pytest.raises(RefusedError, match=f"^{reason}: P1_seg.nii.gz: expected"):
        check(patient, mask, convention)


@pytest.mark.parametrize("affine", [GRID + 2 * np.eye(4, k=3), np.diag([10.0, 10, 11, 1])])
def test_mask_of_another_geometry(patient: Path, affine: np.ndarray) -> None:
    with pytest.raises(RefusedError, match="^grid_mismatch: P1_seg.nii.gz: expected"):
        check(patient, codes(1, 2), "brats2018", affine)


def test_missing_and_damaged_mask(patient: Path) -> None:
    (patient / "P1_seg.nii.gz").write_bytes(b"")
    check_study(patient, "brats")
    with pytest.raises(RefusedError, match="^not_nifti: P1_seg.nii.gz: expected"):
        check_study(patient, "brats", labels=True)
    (patient / "P1_seg.nii.gz").unlink()
    with pytest.raises(RefusedError, match="^missing_label: .: expected"):
        check_study(patient, "brats", labels=True)


def test_unknown_convention_is_a_mistake_of_the_caller(patient: Path) -> None:
    with pytest.raises(ValueError, match="expected a label convention of brats2018"):
        check_study(patient, "brats", labels=True, label_convention="brats1999")


@pytest.mark.parametrize(
    ("mask", "convention"),
    [
        (codes(1, 2, 4), "brats2018"),
        (codes(1, 2, 3), "brats2023"),
        (codes(1, 2, 3), "msd"),
        (codes(1, 2, 3, 4), "brats2024"),
        (codes(1, 2, 4, kind=np.int64), "brats2018"),
        (codes(1.0039, 2.0078, 3.9999, kind=np.float32), "brats2018"),  # near integers
    ],
)
def test_mask_as_declared_is_fit(patient: Path, mask: np.ndarray, convention: str) -> None:
    study = check(patient, mask, convention)
    assert study.warnings == ()
    assert study.notes == ()


def test_mask_in_8_bits_with_a_slope_of_a_program_is_fit(patient: Path) -> None:
    image = nib.Nifti1Image(codes(1, 2, 4, kind=np.float32), GRID)
    image.set_data_dtype(np.uint8)
    nib.save(image, patient / "P1_seg.nii.gz")  # nibabel scales 4 to 255
    assert check_study(patient, "brats", labels=True, label_convention="brats2018").warnings == ()


@pytest.mark.parametrize(
    ("present", "fitting"),
    [
        ((1, 2), "brats2018, brats2023, brats2024, msd"),
        ((1, 2, 3), "brats2023, brats2024, msd"),
        ((1, 2, 4), "brats2018, brats2024"),
    ],
)
def test_conventions_that_fit_are_named(patient: Path, present: tuple[int, ...], fitting: str) -> None:
    study = check(patient, codes(*present), None)
    found = ", ".join(map(str, present))
    assert study.notes == (f"codes in the mask: {found}; label conventions that fit: {fitting}",)
    assert study.warnings == (f"several label conventions fit the mask: {fitting}; declare the right one",)


def test_empty_mask_is_warned_of(patient: Path) -> None:
    for convention in ("brats2018", None):
        assert check(patient, codes(), convention).warnings == ("the mask is empty: no tumour at all",)


def brain_and_mask() -> tuple[np.ndarray, np.ndarray]:
    image = np.zeros((4, 20, 20, 20), np.float32)
    image[:, 5:15, 5:15, 5:15] = np.random.default_rng(1).uniform(1, 9, (4, 10, 10, 10))
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[6:12, 6:12, 6:12] = 1
    return image, mask


def read(folder: Path, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    save(folder / "seg.nii.gz", mask, spacing_mm=2.0)
    return read_label_map(folder / "seg.nii.gz", None, like=image, affine=np.diag([2.0, 2, 2, 1]))


def test_mask_may_hold_what_is_0_in_one_modality_or_in_a_hole_or_at_the_rim(tmp_path: Path) -> None:
    image, mask = brain_and_mask()
    image[:3, 6:9] = 0  # T2 is left
    image[:, 10, 10, 10] = 0
    mask[4, 7:9, 7:9] = 1  # 4 of 220 voxels, 2 mm outside
    np.testing.assert_array_equal(read(tmp_path, image, mask), mask)


def test_mask_outside_the_brain_is_refused(tmp_path: Path) -> None:
    image, mask = brain_and_mask()
    speck, shifted = mask.copy(), np.roll(mask, 9, axis=0)
    speck[1, 1, 1] = 1
    for wrong in (speck, shifted, np.roll(mask, 4, axis=1)):
        with pytest.raises(RefusedError, match="^mask_outside_brain: seg.nii.gz: expected"):
            read(tmp_path, image, wrong)
