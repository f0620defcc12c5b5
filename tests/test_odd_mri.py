"""Patients that are stored in unusual ways and are fit: each gives the same voxels in the same place."""

from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from small_cases import ENDINGS_2018, ENDINGS_2023

from custom_transforms.check_study import check_study
from custom_transforms.fit_study import FitStudy
from data_lists.phantom_layouts import LAYOUTS, Layout, write_index, write_patient
from data_lists.phantom_mri import make_patient

IMAGE = np.random.default_rng(1).integers(0, 250, (4, 6, 5, 4))
LABELS = np.random.default_rng(2).choice([0, 1, 2, 4], (6, 5, 4))
RAS = np.array([[2.0, 0, 0, -7], [0, 3, 0, 5], [0, 0, 4, 11], [0, 0, 0, 1]])
ORIENTATIONS = ["".join(axes) for order in permutations(["LR", "AP", "SI"]) for axes in product(*order)]


def save(path: Path, voxels: np.ndarray, axes: str = "RAS", kind: type = nib.Nifti1Image) -> None:
    path.parent.mkdir(exist_ok=True)
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(axes))
    )
    nib.save(kind(voxels, RAS).as_reoriented(turn), path)


def save_patient(folder: Path, endings: tuple[str, ...] = ENDINGS_2018, kind: str = "int16", suffix: str = "") -> Path:
    for ending, voxels in zip(endings, [*IMAGE, LABELS], strict=True):
        save(folder / f"Case_1{ending}.nii{suffix}", voxels.astype(kind))
    return folder


def assert_same(study: FitStudy) -> None:
    np.testing.assert_array_equal(study.data, IMAGE)
    np.testing.assert_allclose(study.affine, RAS, atol=1e-5)
    assert study.data.dtype == np.float32


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_orientation(tmp_path: Path, axes: str) -> None:
    save_patient(tmp_path)
    for name, voxels in {"flair": IMAGE[0], "t1": IMAGE[1], "seg": LABELS}.items():  # the others stay as they were
        save(tmp_path / f"Case_1_{name}.nii", voxels.astype(np.int16), axes)
    assert_same(check_study(tmp_path, "brats", labels=True, label_convention="brats2018"))


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("kind", ["u1", "<i2", ">i2", ">u2", "<i4", ">u4", "i8", ">u8", "<f4", ">f4", "<f8", ">f8"])
def test_every_storage_type_and_byte_order(tmp_path: Path, kind: str) -> None:
    for ending, voxels in zip(ENDINGS_2018, [*IMAGE, LABELS], strict=True):
        header = nib.Nifti1Header(endianness=">" if kind[0] == ">" else "<")
        header.set_data_dtype(kind)
        nib.save(nib.Nifti1Image(voxels.astype(kind), RAS, header), tmp_path / f"Case_1{ending}.nii.gz")
    raw = nib.load(tmp_path / "Case_1_t1.nii.gz").header
    assert (raw.endianness == ">") == (kind[0] == ">")
    assert_same(check_study(tmp_path, "brats", labels=True, label_convention="brats2018"))


def test_scaled_integers(tmp_path: Path) -> None:
    save_patient(tmp_path)
    image = nib.Nifti1Image((2 * IMAGE[3] - 100).astype(np.int16), RAS)
    image.header.set_slope_inter(0.5, 50)
    raw = image.to_bytes()
    header = nib.Nifti1Header(raw[:348])
    header["scl_slope"], header["scl_inter"] = 0.5, 50
    (tmp_path / "Case_1_t2.nii").write_bytes(header.binaryblock + raw[348:])
    assert_same(check_study(tmp_path, "brats"))


def test_singleton_fourth_axis_and_nifti_2(tmp_path: Path) -> None:
    save_patient(tmp_path)
    save(tmp_path / "Case_1_t1.nii", IMAGE[1].astype(np.int16)[..., None])
    save(tmp_path / "Case_1_t2.nii", IMAGE[3].astype(np.int16), kind=nib.Nifti2Image)
    save(tmp_path / "Case_1_seg.nii", LABELS.astype(np.uint8)[..., None])
    assert_same(check_study(tmp_path, "brats", labels=True, label_convention="brats2018"))


@pytest.mark.parametrize("endings", [ENDINGS_2018, ENDINGS_2023])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("case", ["BraTS19_CBICA_AAB_1", "BraTS2021_00000", "BraTS-GLI-00005-101", "sub 1.b_t1-t2w"])
def test_names_of_every_year(tmp_path: Path, endings: tuple[str, ...], suffix: str, case: str) -> None:
    save_patient(tmp_path, endings, suffix=suffix)
    for file in list(tmp_path.iterdir()):
        file.rename(tmp_path / file.name.replace("Case_1", case))
    assert_same(check_study(tmp_path, "brats", labels=True, label_convention="brats2018"))


def test_other_files_and_hidden_ones_do_not_disturb(tmp_path: Path) -> None:
    save_patient(tmp_path)
    (tmp_path / "._Case_1_t1.nii").write_bytes(b"what macOS leaves in archives")
    (tmp_path / "readme.txt").write_text("")
    save(tmp_path / "Case_1_brainmask.nii.gz", LABELS.astype(np.uint8))
    assert_same(check_study(tmp_path, "brats"))


def test_stack_in_the_order_taken_or_declared(tmp_path: Path) -> None:
    stack = np.moveaxis(IMAGE, 0, -1).astype(np.float32)
    save(tmp_path / "alone" / "a.nii.gz", stack, "LPS")
    study = check_study(tmp_path / "alone" / "a.nii.gz", "brats")
    assert_same(study)
    (warning,) = study.warnings
    assert warning.startswith("the file does not say which channel is which: FLAIR, T1, T1ce, T2 taken; predict.py")
    assert_same(check_study(tmp_path / "alone", "brats"))
    (tmp_path / "task").mkdir()
    save(tmp_path / "task" / "imagesTr" / "a.nii.gz", stack[..., ::-1])
    save(tmp_path / "task" / "labelsTr" / "a.nii.gz", np.where(LABELS == 4, 3, LABELS).astype(np.uint8))
    names = {"modality": ["T2w", "t1gd", "T1w", "FLAIR"], "labels": ["background", "edema"]}
    names["labels"] += ["non-enhancing tumor", "enhancing tumour"]
    header = {key: {str(number): name for number, name in enumerate(value)} for key, value in names.items()}
    (tmp_path / "task" / "dataset.json").write_text(json.dumps(header))
    study = check_study(tmp_path / "task" / "imagesTr" / "a.nii.gz", "brats", labels=True)
    assert_same(study)
    assert (study.notes, study.warnings) == ((), ())  # the file declares which code is which


@pytest.mark.parametrize("layout", LAYOUTS)
def test_phantom_in_every_layout(tmp_path: Path, layout: Layout) -> None:
    phantom = make_patient(3, shape=(41, 37, 12))
    write_patient(phantom, tmp_path, layout=layout, index=3)
    write_index(tmp_path, layout=layout)
    path = next(tmp_path.glob("imagesTr/*"), tmp_path)
    study = check_study(path, "brats", labels=True)
    np.testing.assert_array_equal(study.data, phantom.image[:, ::-1, ::-1])  # LPS to RAS


def test_real_glioma_is_fit_without_warnings(real_scans: Path) -> None:
    folder = real_scans / "mri_glioma" / "TCGA-DU-7294"
    study = check_study(folder, "brats", labels=True, label_convention="brats2018")
    assert (study.data.shape, study.warnings, study.notes) == ((4, 240, 240, 155), (), ())
