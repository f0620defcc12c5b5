"""What the readers refuse, and what hashes and tumour volumes do not depend on."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from small_cases import ENDINGS_2018, ENDINGS_2023, SHAPE, add_case, make_mask, save

from custom_transforms.mri_study import read_patient
from data_lists.decathlon import build_data_list


def test_strange_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown_label: A_seg.nii.gz: expected 0 or .*, got \[3\]$"):
        build_data_list(add_case(tmp_path, "A", seed=1, mask=make_mask(3, code=3)), read=read_patient)


def test_fractional_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fractional_label: A_seg.nii.gz"):
        build_data_list(add_case(tmp_path, "A", seed=1, mask=make_mask(3).astype(np.float32) / 4), read=read_patient)


def test_label_4_in_names_of_2023_points_to_2024(tmp_path: Path) -> None:
    add_case(tmp_path, "BraTS-GLI-00005-100", seed=1, mask=make_mask(3, code=4), endings=ENDINGS_2023)
    with pytest.raises(ValueError, match=r"got \[4\] \(.*use --layout brats2024\)$"):
        build_data_list(tmp_path, read=read_patient)


def test_same_image_of_two_patients_is_refused_in_another_storage_type(tmp_path: Path) -> None:
    add_case(tmp_path, "A", seed=1)
    add_case(tmp_path, "B", seed=2)
    source = nib.load(tmp_path / "A/A_t1.nii.gz")
    save(tmp_path / "B/B_t2.nii.gz", np.asanyarray(source.dataobj).astype(np.float64))
    with pytest.raises(ValueError, match=r"under A \(T1 in A/A_t1.nii.gz\) and B \(T2 in B/B_t2.nii.gz\)"):
        build_data_list(tmp_path, read=read_patient)


def test_image_of_one_value_is_refused(tmp_path: Path) -> None:
    save(add_case(tmp_path, "A", seed=1) / "A/A_t1ce.nii.gz", np.zeros(SHAPE, np.int16))
    with pytest.raises(ValueError, match="constant_image: .*expected T1ce with contrast"):
        build_data_list(tmp_path, read=read_patient)


def test_modality_of_another_shape_is_refused(tmp_path: Path) -> None:
    save(add_case(tmp_path, "A", seed=1) / "A/A_t2.nii.gz", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    with pytest.raises(ValueError, match=r"shape_mismatch: A_t2.nii.gz: .*got \(2, 3, 4\)"):
        build_data_list(tmp_path, read=read_patient)


def test_image_with_nan_is_refused(tmp_path: Path) -> None:
    voxels = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    voxels[0, 0, 0] = np.nan
    save(add_case(tmp_path, "A", seed=1) / "A/A_t1.nii.gz", voxels)
    with pytest.raises(ValueError, match="not_finite: .*expected finite T1"):
        build_data_list(tmp_path, read=read_patient)


def reorient(source: Path, target: Path) -> None:
    """Store the same anatomy with its axes turned and swapped, and compressed otherwise."""
    turned = nib.load(source).as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(gzip.compress(turned.to_bytes(), compresslevel=1))


@pytest.mark.parametrize("endings", [("_t2",), ("_seg",), ENDINGS_2018], ids=["T2", "mask", "all"])
def test_reoriented_files_give_the_same_list(tmp_path: Path, endings: tuple[str, ...]) -> None:
    add_case(tmp_path, "A", seed=1)
    before = build_data_list(tmp_path, read=read_patient)
    for ending in endings:
        reorient(tmp_path / f"A/A{ending}.nii.gz", tmp_path / f"A/A{ending}.nii.gz")
    assert build_data_list(tmp_path, read=read_patient) == before


def test_same_image_of_two_patients_is_refused_when_reoriented(tmp_path: Path) -> None:
    add_case(tmp_path, "A", seed=1)
    for ending in ENDINGS_2018:
        reorient(tmp_path / f"A/A{ending}.nii.gz", tmp_path / f"B/B{ending}.nii.gz")
    with pytest.raises(ValueError, match=r"under A \(FLAIR in A/A_flair.nii.gz\) and B \(FLAIR in B/B_flair.nii.gz\)"):
        build_data_list(tmp_path, read=read_patient)


def damage_checksum(raw: bytes) -> bytes:
    return raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:]


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (damage_checksum, "damaged_gzip"),
        (lambda raw: raw[:-9], "damaged_gzip"),
        (lambda raw: raw[:40], "damaged_gzip"),
        (gzip.decompress, "damaged_gzip"),
        (lambda raw: gzip.compress(b"0" * 9), "not_nifti"),
    ],
    ids=["checksum", "lost tail", "lost body", "no gzip", "no NIfTI"],
)
def test_damaged_file_is_refused_by_name(tmp_path: Path, damaged: Callable[[bytes], bytes], reason: str) -> None:
    path = add_case(tmp_path, "A", seed=1) / "A/A_t1ce.nii.gz"
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{reason}: A_t1ce.nii.gz"):
        build_data_list(tmp_path, read=read_patient)


def test_resection_cavity_is_no_tumour(tmp_path: Path) -> None:
    mask = make_mask(3)
    mask.flat[3:9] = 4
    add_case(tmp_path, "BraTS-GLI-00005-100", seed=1, mask=mask, endings=ENDINGS_2023)
    (item,) = build_data_list(tmp_path, read=read_patient, layout="brats2024", fractions=(0, 0, 1))["test"]
    assert item["tumour_ml"] == 3.0
