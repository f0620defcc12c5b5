from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom_transforms.label_map import read_label_map
from custom_transforms.mri_brain import brain_of
from custom_transforms.mri_study import case_name, read_modalities, read_patient
from custom_transforms.refusal import RefusedError

AFFINE = np.array([[-2.0, 0, 0, 3], [0, -2, 0, 7], [0, 0, 5, 1], [0, 0, 0, 1]])  # LPS
CODES = {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}
IMAGE = np.random.default_rng(1).integers(-50, 900, (4, 5, 6, 7)).astype(np.int16)
LABELS = np.random.default_rng(2).choice([0, 1, 2, 4], (5, 6, 7)).astype(np.uint8)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE, axes: str = "LPS") -> str:
    image = nib.Nifti1Image(voxels, affine)
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(axes)))
    nib.save(image.as_reoriented(turn), path)
    return str(path)


def save_four(folder: Path, image: np.ndarray = IMAGE) -> list[str]:
    return [save(folder / f"p_{name}.nii.gz", volume) for name, volume in zip("abcd", image, strict=True)]


def test_declared_order_becomes_the_fixed_order(tmp_path: Path) -> None:
    volume, affine = read_modalities(save_four(tmp_path), ["T2", "T1ce", "FLAIR", "T1"])
    np.testing.assert_array_equal(volume, IMAGE[[2, 3, 1, 0]])
    np.testing.assert_array_equal(affine, AFFINE)


@pytest.mark.parametrize("axes", ["RAS", "PIR", "ASL"])
def test_files_in_other_orientations_are_turned_to_the_first(tmp_path: Path, axes: str) -> None:
    files = save_four(tmp_path)
    save(Path(files[1]), IMAGE[1], axes=axes)
    label = save(tmp_path / "seg.nii.gz", LABELS, axes=axes)
    volume, affine = read_modalities(files)
    np.testing.assert_array_equal(volume, IMAGE)
    np.testing.assert_array_equal(read_label_map(label, CODES, like=volume, affine=affine), LABELS)


def test_one_file_of_four_channels(tmp_path: Path) -> None:
    volume, _ = read_modalities(save(tmp_path / "stack.nii.gz", np.moveaxis(IMAGE, 0, -1)))
    np.testing.assert_array_equal(volume, IMAGE)


def moved(affine: np.ndarray, mm: float) -> np.ndarray:
    other = affine.copy()
    other[2, 3] += mm
    return other


def test_a_tenth_of_a_voxel_is_the_limit_of_agreement(tmp_path: Path) -> None:
    files = save_four(tmp_path)
    save(Path(files[3]), IMAGE[3], moved(AFFINE, 0.19))  # smallest voxel side 2 mm
    read_modalities(files)
    save(Path(files[3]), IMAGE[3], moved(AFFINE, 0.21))
    with pytest.raises(RefusedError, match=r"grid_mismatch: p_d.nii.gz"):
        read_modalities(files)


def replaced(volume: np.ndarray) -> np.ndarray:
    return np.stack([*IMAGE[:3], volume]).astype(np.float32)


@pytest.mark.parametrize(
    ("fourth", "reason"),
    [
        (np.full((5, 6, 7), 3.0), "constant_image"),
        (np.where(IMAGE[3] > 100, np.nan, IMAGE[3]), "not_finite"),
        (np.where(IMAGE[3] > 100, np.inf, IMAGE[3]), "not_finite"),
        (IMAGE[0], "repeated_modality"),
    ],
)
def test_image_without_meaning_is_refused(tmp_path: Path, fourth: np.ndarray, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        read_modalities(save_four(tmp_path, replaced(fourth)))


def test_other_shape_is_refused(tmp_path: Path) -> None:
    files = save_four(tmp_path)
    save(Path(files[2]), IMAGE[2, :4])
    with pytest.raises(RefusedError, match="shape_mismatch: p_c.nii.gz"):
        read_modalities(files)


def test_three_files_and_unknown_names_are_refused(tmp_path: Path) -> None:
    files = save_four(tmp_path)
    with pytest.raises(RefusedError, match="missing_modality"):
        read_modalities(files[:3])
    with pytest.raises(RefusedError, match="unknown_modality"):
        read_modalities(files, ["FLAIR", "T1", "T1", "T2"])


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.where(LABELS == 4, 3, LABELS), "unknown_label"),
        (LABELS * 0.5, "fractional_label"),
        (LABELS[:, :5], "shape_mismatch"),
    ],
)
def test_mask_outside_the_convention_is_refused(tmp_path: Path, labels: np.ndarray, reason: str) -> None:
    label = save(tmp_path / "seg.nii.gz", labels.astype(np.float32))
    with pytest.raises(RefusedError, match=f"{reason}: seg.nii.gz"):
        read_label_map(label, CODES, like=IMAGE.astype(np.float32), affine=AFFINE)


def test_label_that_is_nearly_whole_is_taken(tmp_path: Path) -> None:
    label = save(tmp_path / "seg.nii.gz", LABELS.astype(np.float32) + 0.0004)
    np.testing.assert_array_equal(read_label_map(label, CODES, like=IMAGE.astype(np.float32), affine=AFFINE), LABELS)


def test_h5_slices_become_a_volume_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for number in range(12):  # 10 comes after 9, not after 1
        with h5py.File(tmp_path / f"volume_1_slice_{number}.h5", "w") as file:
            file["image"] = (
                np.random.default_rng(number).permuted(np.linspace(-5 - number, 5 + 20 * number, 80)).reshape(4, 5, 4)
            )
            file["mask"] = np.zeros((4, 5, 3), np.uint8)
            file["mask"][0, 0, number % 3] = 1
    pattern = str(tmp_path / "volume_1_slice_*.h5")
    volume, affine = read_modalities(pattern)
    assert volume.shape == (4, 4, 5, 12)
    assert (np.diff(volume.max((0, 1, 2))) > 0).all()
    assert (volume.min((1, 2)) == 0).all()  # background, although each slice came with another lowest value
    labels = read_label_map(pattern, CODES, like=volume, affine=affine)
    np.testing.assert_array_equal(labels[0, 0], [1, 2, 4] * 4)
    shuffled = dict(reversed(CODES.items()))  # the order of a dictionary does not say which channel is which
    np.testing.assert_array_equal(read_label_map(pattern, shuffled, like=volume, affine=affine), labels)
    with h5py.File(tmp_path / "volume_1_slice_3.h5", "a") as file:
        file["mask"][0, 0] = 1  # all tissues at once
    with pytest.raises(RefusedError, match="label_channels"):
        read_label_map(pattern, CODES, like=volume, affine=affine)
    (tmp_path / "volume_1_slice_5.h5").unlink()
    with pytest.raises(RefusedError, match=r"missing_slice: volume_1_slice_\*.h5"):
        read_modalities(pattern)


def test_case_is_named_after_the_list_or_the_file() -> None:
    assert case_name({"case": "/data/Case_1", "image": "x.nii.gz"}) == "Case_1"
    assert case_name({"image": "/data/sub.1.nii.gz"}) == "sub.1"
    assert case_name({"image": ["/data/p1_flair.nii.gz", "b"]}) == "p1_flair"


def test_reading_needs_neither_torch_nor_monai() -> None:
    code = "import sys, custom_transforms.mri_study; sys.exit(bool({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_real_case(real_scans: Path) -> None:
    prefix = real_scans / "mri_glioma" / "TCGA-DU-7294" / "TCGA-DU-7294_"
    volume, affine = read_modalities([f"{prefix}{name}.nii.gz" for name in ("flair", "t1", "t1ce", "t2")])
    labels = read_label_map(f"{prefix}seg.nii.gz", CODES, like=volume, affine=affine)
    assert volume.shape == (4, 240, 240, 155)
    assert np.bincount(labels.ravel()).tolist() == [8903812, 9281, 14907]


def test_real_stroke_case_lacks_a_modality(real_scans: Path) -> None:
    files = [str(real_scans / "mri_stroke" / f"{name}.nii.gz") for name in ("FLAIR", "T1", "T2")]
    with pytest.raises(RefusedError, match="missing_modality"):
        read_modalities(files)


def test_patient_is_read_with_the_mask_or_without(tmp_path: Path) -> None:
    files, label = save_four(tmp_path), save(tmp_path / "seg.nii.gz", LABELS)
    volume, affine, labels = read_patient(files, label=label, codes=CODES)
    np.testing.assert_array_equal(volume, IMAGE)
    np.testing.assert_array_equal(affine, AFFINE)
    np.testing.assert_array_equal(labels, LABELS)
    assert read_patient(files)[2] is None


def test_mask_of_an_unknown_convention_keeps_its_codes(tmp_path: Path) -> None:
    label = save(tmp_path / "seg.nii.gz", np.where(LABELS == 4, 9, LABELS))
    image = IMAGE.astype(np.float32)
    np.testing.assert_array_equal(read_label_map(label, None, like=image, affine=AFFINE) == 9, LABELS == 4)
    with pytest.raises(
        RefusedError, match=r"unknown_label: seg.nii.gz: expected codes from 0 to 255, got \[-1, 257, 515\]"
    ):
        read_label_map(save(tmp_path / "seg.nii.gz", LABELS * 129.0 - 1), None, like=image, affine=AFFINE)


def test_brain_of_modalities_one_by_one_is_that_of_all_together() -> None:
    image = IMAGE.astype(np.float32) * (np.random.default_rng(3).random(IMAGE.shape) > 0.7)
    np.testing.assert_array_equal(brain_of(list(image)), brain_of(image))
    np.testing.assert_array_equal(brain_of(image), (image != 0).any(axis=0))
