"""Patients whose files are each in order and do not make a patient: refused with the file that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from small_cases import SHAPE, add_case, save

from custom_transforms.check_study import check_study
from custom_transforms.refusal import RefusedError

GRID = np.diag([10.0, 10, 10, 1])


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    return add_case(tmp_path, "P1", seed=1) / "P1"


def refused(path: Path) -> str:
    """Code and file of the refusal."""
    with pytest.raises(RefusedError) as caught:
        check_study(path, "brats")
    assert "\n" not in str(caught.value)
    return str(caught.value).partition(": expected ")[0]


def voxels(patient: Path, name: str) -> np.ndarray:
    return np.asarray(nib.load(patient / f"P1_{name}.nii.gz").dataobj).astype(np.float64)


def with_one(values: np.ndarray, value: float) -> np.ndarray:
    changed = values.copy()
    changed[2, 2, 2] = value
    return changed


def in_eight_bits(values: np.ndarray) -> np.ndarray:
    return np.rint(255 * (values - values.min()) / np.ptp(values))


T2: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {  # of T2 and FLAIR
    "another shape": ("shape_mismatch", lambda t2, flair: t2[:5]),
    "constant": ("constant_image", lambda t2, flair: np.full(SHAPE, 7.0)),
    "all zero": ("constant_image", lambda t2, flair: np.zeros(SHAPE)),
    "NaN": ("not_finite", lambda t2, flair: with_one(t2, np.nan)),
    "infinity": ("not_finite", lambda t2, flair: with_one(t2, -np.inf)),
    "beyond float32": ("not_finite", lambda t2, flair: with_one(t2, 1e300)),
    "FLAIR again": ("repeated_modality", lambda t2, flair: flair),
    "FLAIR scaled": ("repeated_modality", lambda t2, flair: 0.37 * flair - 12),
    "FLAIR inverted": ("repeated_modality", lambda t2, flair: 900 - flair),
    "FLAIR in 8 bits": ("repeated_modality", lambda t2, flair: in_eight_bits(flair)),
    "a stack": ("shape_mismatch", lambda t2, flair: np.stack([t2, flair], axis=-1)),
}


@pytest.mark.parametrize("case", T2)
def test_modality_that_cannot_be(patient: Path, case: str) -> None:
    reason, make = T2[case]
    save(patient / "P1_t2.nii.gz", make(voxels(patient, "t2"), voxels(patient, "flair")))
    assert refused(patient) == f"{reason}: P1_t2.nii.gz"


@pytest.mark.parametrize(
    "affine",
    [
        GRID + 2 * np.eye(4, k=3),  # moved
        np.diag([10.0, 10, 9, 1]),  # another spacing
        np.diag([10.0, 10, 10.4, 1]),
        nib.affines.from_matvec(10 * nib.eulerangles.euler2mat(z=0.1)),  # turned
    ],
)
def test_modality_on_another_grid(patient: Path, affine: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(voxels(patient, "t1ce"), affine), patient / "P1_t1ce.nii.gz")
    assert refused(patient) == "grid_mismatch: P1_t1ce.nii.gz"


def test_modality_with_one_value_in_the_brain(patient: Path) -> None:
    brain = np.zeros(SHAPE, bool)
    brain[1:-1, 1:-1, 1:-1] = True
    for name in ("flair", "t1", "t1ce", "t2"):
        save(patient / f"P1_{name}.nii.gz", np.where(brain, voxels(patient, name) + 10, 0))
    check_study(patient, "brats")
    save(patient / "P1_t1.nii.gz", np.where(brain, 5.0, 0.0))
    assert refused(patient) == "constant_image: P1_t1.nii.gz"


@pytest.mark.parametrize("name", ["flair", "t1", "t1ce", "t2"])
def test_missing_modality(patient: Path, name: str) -> None:
    (patient / f"P1_{name}.nii.gz").unlink()
    assert refused(patient) == "missing_modality: ."


@pytest.mark.parametrize("content", [b"", b"<html>gone</html>"])
def test_file_that_is_no_image(patient: Path, content: bytes) -> None:
    (patient / "P1_t1.nii.gz").write_bytes(content)
    assert refused(patient) == f"{'damaged_gzip' if content else 'not_nifti'}: P1_t1.nii.gz"


def test_file_in_a_folder_of_its_own_is_named_with_it(patient: Path) -> None:
    images = patient / "images"
    images.mkdir()
    for file in patient.glob("*.nii.gz"):
        file.rename(images / file.name)
    (images / "P1_t1.nii.gz").write_bytes(b"")
    assert refused(patient) == "not_nifti: images/P1_t1.nii.gz"


def test_two_files_for_one_modality(patient: Path) -> None:
    save(patient / "P1_t1.nii", voxels(patient, "t1"))
    assert refused(patient) == "two_files: P1_t1.nii.gz"


def test_two_patients_in_one_folder(patient: Path) -> None:
    add_case(patient, "P2", seed=2)
    assert refused(patient) == "several_patients: ."


def test_folder_without_a_patient(tmp_path: Path) -> None:
    assert refused(tmp_path) == "no_files: ."
    (tmp_path / "notes.txt").write_text("nothing")
    assert refused(tmp_path) == "no_patient: ."
    assert refused(tmp_path / "notes.txt") == "not_nifti: notes.txt"
    assert refused(tmp_path / "none") == "missing_file: none"


def test_pairs_of_files_are_refused_by_name(patient: Path) -> None:
    for file in list(patient.glob("*.nii.gz")):
        nib.save(nib.Nifti1Pair.from_image(nib.load(file)), patient / file.name.replace(".nii.gz", ".img"))
        file.unlink()
    assert refused(patient) == "not_nifti: P1_flair.hdr"


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_stack_of_other_than_four(tmp_path: Path, channels: int) -> None:
    save(tmp_path / "stack.nii.gz", np.random.default_rng(1).normal(size=(*SHAPE, channels)))
    assert refused(tmp_path / "stack.nii.gz") == "missing_modality: stack.nii.gz"


def test_stack_with_a_channel_twice(tmp_path: Path) -> None:
    stack = np.random.default_rng(1).normal(size=(*SHAPE, 4))
    stack[..., 3] = stack[..., 0]
    save(tmp_path / "stack.nii.gz", stack)
    assert refused(tmp_path / "stack.nii.gz") == "repeated_modality: stack.nii.gz"


def test_header_of_a_data_set_that_says_nothing(tmp_path: Path) -> None:
    save(tmp_path / "imagesTr" / "a.nii.gz", np.random.default_rng(1).normal(size=(*SHAPE, 4)))
    (tmp_path / "dataset.json").write_text('{"modality": {"0": "CT"}, "labels": {}}')
    assert refused(tmp_path / "imagesTr" / "a.nii.gz") == "bad_data_set_file: ../dataset.json"
