"""A CT scan is loaded as one image with the metadata that later steps need."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from ct_files import ct_dataset, save, spoil, stored_slices, write_series
from monai.data import MetaTensor
from monai.transforms import LoadImage, LoadImaged, Orientationd

from custom_transforms.load_ct import LoadImageStudyd
from custom_transforms.refusal import RefusedError
from custom_transforms.series_reader import CtSeriesReader

COUNT = 12


def save_nifti(values: np.ndarray, affine: np.ndarray, file: Path) -> Path:
    """Values `(X, Y, Z)`."""
    nib.save(nib.Nifti1Image(values, affine), file)
    return file


def test_folder_becomes_one_image(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    folder = write_series(tmp_path / "case_7", values)
    item = {"image": str(folder), "label": 1}
    loaded = LoadImageStudyd()(item)
    image = loaded["image"]
    assert isinstance(image, MetaTensor)
    assert (image.shape, image.dtype) == ((1, 8, 6, COUNT), torch.float32)
    assert image[0].permute(2, 1, 0).is_contiguous()
    np.testing.assert_array_equal(image[0].permute(2, 1, 0), values)
    np.testing.assert_allclose(image.affine, np.diag([-0.6, -0.8, 5, 1]))
    assert torch.equal(image.meta["original_affine"], image.affine)
    np.testing.assert_allclose(image.meta["slice_positions_mm"], 5.0 * np.arange(COUNT))
    assert image.meta["filename_or_obj"] == "case_7"
    assert image.meta["spatial_shape"] == (8, 6, COUNT)
    assert (loaded["case"], loaded["notes"], loaded["label"]) == ("case_7", "", 1)
    assert item == {"image": str(folder), "label": 1}


def test_zip_of_a_folder_is_loaded_as_the_folder(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "case_7", stored_slices(COUNT))
    zipped = shutil.make_archive(str(tmp_path / "case_7"), "zip", tmp_path, "case_7")
    packed, plain = (LoadImageStudyd()({"image": path}) for path in (zipped, folder))
    assert torch.equal(packed["image"], plain["image"])
    assert packed["case"] == "case_7"


def test_case_and_earlier_notes_stay(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "case_7", stored_slices(COUNT), SliceThickness=3)
    loaded = LoadImageStudyd()({"image": folder, "case": "p1", "notes": "first"})
    assert (loaded["case"], loaded["notes"]) == ("p1", "first; 2.00 mm between slices not imaged")


def test_wanted_series_is_loaded(tmp_path: Path) -> None:
    write_series(tmp_path / "a", stored_slices(COUNT))
    other = stored_slices(COUNT, seed=1)
    write_series(tmp_path / "b", other, SeriesInstanceUID="1.2.3", SeriesNumber=7)
    image = LoadImageStudyd()({"image": tmp_path, "series": 7})["image"]
    np.testing.assert_array_equal(image[0].permute(2, 1, 0), other)


def test_reason_of_a_refusal_survives(tmp_path: Path) -> None:
    folder = write_series(
        tmp_path, stored_slices(COUNT), change=lambda image, i: spoil(image, RescaleSlope=None) if i == 3 else None
    )
    with pytest.raises(RefusedError, match=r"^missing_tag: 024.dcm: expected RescaleSlope, got none \(case .*\)$"):
        LoadImageStudyd()({"image": folder})


def test_loader_is_known_by_its_class_and_name() -> None:
    assert issubclass(LoadImageStudyd, LoadImaged)
    assert "LoadImage" in LoadImageStudyd.__name__


def test_single_file_is_named_without_its_suffix(tmp_path: Path) -> None:
    loaded = LoadImageStudyd()({"image": save(ct_dataset(stored_slices(1)[0], 0.0, 1), tmp_path / "one.dcm")})
    assert loaded["case"] == "one"


def test_nifti_and_dicom_of_one_scan_are_one_image(tmp_path: Path) -> None:
    dicom = LoadImageStudyd()({"image": write_series(tmp_path / "series", stored_slices(COUNT))})["image"]
    file = save_nifti(dicom[0].numpy(), dicom.affine.numpy(), tmp_path / "scan.nii.gz")
    loaded = LoadImageStudyd()({"image": file})
    assert torch.equal(loaded["image"].as_tensor(), dicom.as_tensor())
    np.testing.assert_allclose(loaded["image"].affine, dicom.affine, atol=1e-6)
    np.testing.assert_allclose(loaded["image"].meta["slice_positions_mm"], 5.0 * np.arange(COUNT), atol=1e-5)
    assert loaded["case"] == "scan"
    assert "taken as even" in loaded["notes"]


@pytest.mark.parametrize("axes", ["RAS", "LPI", "PIR", "SAL"])
def test_positions_fit_the_slices_after_orientation(tmp_path: Path, axes: str) -> None:
    values = stored_slices(COUNT).transpose(2, 1, 0).astype(np.float32)
    upright = nib.Nifti1Image(values, np.diag([-0.6, -0.8, 5, 1]))
    turn = nib.orientations.ornt_transform(nib.io_orientation(upright.affine), nib.orientations.axcodes2ornt(axes))
    nib.save(upright.as_reoriented(turn), tmp_path / "scan.nii")
    loaded = Orientationd("image", axcodes="LPS")(LoadImageStudyd()({"image": tmp_path / "scan.nii"}))["image"]
    np.testing.assert_array_equal(loaded[0], values)
    np.testing.assert_allclose(loaded.meta["slice_positions_mm"], 5.0 * np.arange(COUNT), atol=1e-5)


def test_nifti_of_four_axes_is_refused(tmp_path: Path) -> None:
    file = save_nifti(np.zeros((4, 4, 4, 2), dtype=np.int16), np.eye(4), tmp_path / "scan.nii")
    with pytest.raises(RefusedError, match="not_a_volume: scan.nii: expected 3 axes, got 4"):
        LoadImageStudyd()({"image": file})


def test_padding_of_nifti_becomes_air(tmp_path: Path) -> None:
    values = stored_slices(COUNT).transpose(2, 1, 0).copy()
    values[0] = -3024
    image = LoadImageStudyd()({"image": save_nifti(values, np.eye(4), tmp_path / "scan.nii")})["image"]
    assert image[0, 0].unique().tolist() == [-1024]


def test_reader_serves_monais_own_loader(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    image = LoadImage(reader=CtSeriesReader(), ensure_channel_first=True)(write_series(tmp_path, values))
    np.testing.assert_array_equal(image[0].permute(2, 1, 0), values)
    np.testing.assert_allclose(image.affine, np.diag([-0.6, -0.8, 5, 1]))
