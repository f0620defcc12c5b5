"""One study is told from a folder of many."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_files import stored_slices, write_series
from pydicom.uid import generate_uid

from custom_transforms.study_folders import find_studies


def study(folder: Path, uid: str = "", **tags: object) -> Path:
    own = uid or generate_uid(entropy_srcs=[str(folder)])
    return write_series(folder, stored_slices(2), StudyInstanceUID=own, **tags)


def nifti(file: Path, *shape: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.zeros(shape or (2, 2, 2), np.int16), np.eye(4)), file)
    return file


def damaged(folder: Path, content: bytes = b"", name: str = "001.dcm") -> None:
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)


def names(path: Path, task: str = "ct") -> list[str]:
    found = find_studies(path, task)
    assert all(place == (path if name == "." else path / name) for name, place in found)
    return [name for name, _ in found]


def test_a_folder_with_dicom_files_is_one_study(tmp_path: Path) -> None:
    study(tmp_path, "1.2.1")
    study(tmp_path / "other", "1.2.2")
    assert names(tmp_path) == ["."]


def test_series_of_one_study_are_one_study(tmp_path: Path) -> None:
    study(tmp_path / "soft", "1.2.1")
    study(tmp_path / "bone", "1.2.1", SeriesInstanceUID="1.2.3.4")
    assert names(tmp_path) == ["."]


def test_folders_of_different_studies_are_studies_whatever_lies_beside(tmp_path: Path) -> None:
    study(tmp_path / "b" / "deep" / "deeper")
    study(tmp_path / "a")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "001.dcm").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "labels.csv").write_text("PatientID,Label\n")
    assert names(tmp_path) == ["a", "b", "damaged"]


def test_patients_beside_the_only_readable_one_are_studies_too(tmp_path: Path) -> None:
    for site in (tmp_path / "site_1", tmp_path / "site_2"):
        study(site / "a" / "series")
        damaged(site / "cut")
        damaged(site / "docs", b"read me", "readme.txt")
        (site / "empty").mkdir()
        damaged(site / "page", b"<html>404</html>")
    patients = ["a", "cut", "docs", "empty", "page"]
    assert names(tmp_path / "site_1") == patients
    assert names(tmp_path) == [f"{site}/{patient}" for site in ("site_1", "site_2") for patient in patients]


def test_patients_of_whom_none_can_be_read_are_studies_all_the_same(tmp_path: Path) -> None:
    damaged(tmp_path / "a")
    (tmp_path / "b").mkdir()
    assert names(tmp_path) == ["a", "b"]


def test_series_of_one_study_stay_one_whatever_else_lies_beside(tmp_path: Path) -> None:
    study(tmp_path / "soft", "1.2.1")
    study(tmp_path / "scout", "1.2.1", SeriesInstanceUID="1.2.3.4", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    damaged(tmp_path / "cut")
    (tmp_path / "empty").mkdir()
    assert names(tmp_path) == ["."]


def test_only_sub_folder_is_the_study_and_gives_its_name(tmp_path: Path) -> None:
    study(tmp_path / "p1" / "deep" / "deeper")
    (tmp_path / "labels.csv").write_text("PatientID,Label\n")
    assert names(tmp_path) == ["p1"]


def test_studies_of_a_patient_and_of_a_folder_inside_are_found(tmp_path: Path) -> None:
    study(tmp_path / "CTs" / "p1" / "first")
    study(tmp_path / "CTs" / "p1" / "second")
    study(tmp_path / "CTs" / "p2")
    assert names(tmp_path) == ["CTs/p1/first", "CTs/p1/second", "CTs/p2"]


def test_nifti_files_and_zips_are_studies(tmp_path: Path) -> None:
    nifti(tmp_path / "b.nii.gz")
    assert names(tmp_path) == ["b.nii.gz"]
    nifti(tmp_path / "a.nii")
    (tmp_path / "c.zip").write_bytes(b"")
    study(tmp_path / "d")
    assert names(tmp_path) == ["a.nii", "b.nii.gz", "c.zip", "d"]


def test_a_file_or_an_empty_folder_is_one_study(tmp_path: Path) -> None:
    assert names(tmp_path) == ["."]
    assert names(nifti(tmp_path / "a.nii")) == ["."]
    assert names(tmp_path / "nowhere") == ["."]


def test_links_inside_a_folder_do_not_lead_round_in_circles(tmp_path: Path) -> None:
    study(tmp_path / "a")
    study(tmp_path / "b")
    (tmp_path / "again").symlink_to(tmp_path)
    assert names(tmp_path) == ["a", "again", "b"]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_patient_of_brats_is_a_folder_of_3d_files_or_a_4d_file(tmp_path: Path, ending: str) -> None:
    for part in ("t1", "t2"):
        for patient in ("HGG/p2", "HGG/p1", "LGG/p3"):
            nifti(tmp_path / "brats" / patient / f"{part}{ending}")
        nifti(tmp_path / "msd" / "imagesTr" / f"{part}{ending}", 2, 2, 2, 4)
        nifti(tmp_path / "msd" / "labelsTr" / f"{part}{ending}", 2, 2, 2)
    assert names(tmp_path / "brats", "brats") == ["HGG/p1", "HGG/p2", "LGG/p3"]
    assert names(tmp_path / "brats" / "HGG" / "p1", "brats") == ["."]
    assert names(tmp_path / "msd", "brats") == [f"imagesTr/t1{ending}", f"imagesTr/t2{ending}"]


def test_folders_without_images_are_patients_of_brats_too(tmp_path: Path) -> None:
    nifti(tmp_path / "HGG" / "p1" / "p1_t1.nii")
    damaged(tmp_path / "HGG" / "p1" / "notes", b"", "notes.txt")  # his, and no patient
    damaged(tmp_path / "HGG" / "p2", b"", "p2_t1.mha")
    damaged(tmp_path / "p3", b"<html>404</html>", "index.html")
    (tmp_path / "p4").mkdir()
    assert names(tmp_path, "brats") == ["HGG/p1", "HGG/p2", "p3", "p4"]


def test_damaged_file_among_4d_files_is_a_patient_as_they_are(tmp_path: Path) -> None:
    nifti(tmp_path / "imagesTr" / "a.nii.gz", 2, 2, 2, 4)
    damaged(tmp_path / "imagesTr" / "deeper", b"", "b.nii.gz")
    (tmp_path / "imagesTr" / "c.nii.gz").write_bytes(b"<html>404</html>")
    assert names(tmp_path, "brats") == ["imagesTr/a.nii.gz", "imagesTr/c.nii.gz", "imagesTr/deeper"]
