"""A name that gives away whose study it is, is recognised by the study's own tags."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_files import ct_dataset, save, stored_slices, write_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from custom_transforms.ct_study import read_ct
from custom_transforms.identifying import holds_identity
from custom_transforms.refusal import RefusedError

GIVEN_AWAY = ["Doe^Jane", "doe_jane", "jane-doe.dcm", "DoeJane", "JANE", "scans/doe/01", "2024 Doe", "dóe"]
GIVEN_AWAY += ["ID-4711", "id_4711.nii.gz", "ID4711", "19500101", "1950-01-01", "01.01.1950", "500101", "MRN 0012345"]
HARMLESS = ["case_07", "IM0001.dcm", "head", "4711", "1950", "do", "ID", "j_a doo", ""]


def study(folder: Path, **tags: object) -> Path:
    return write_series(folder, stored_slices(3), OtherPatientIDs="MRN0012345", **tags)


@pytest.mark.parametrize("text", GIVEN_AWAY)
def test_names_ids_and_dates_are_recognised(tmp_path: Path, text: str) -> None:
    assert holds_identity(text, study(tmp_path))


@pytest.mark.parametrize("text", HARMLESS)
def test_other_names_are_let_through(tmp_path: Path, text: str) -> None:
    assert not holds_identity(text, study(tmp_path))


def test_file_zip_and_deflated_file_are_read_like_a_folder(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"ct/{file.name}")
    deflated = ct_dataset(stored_slices(1)[0], 0.0, 1)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    for path in (tmp_path / "study.zip", next(folder.iterdir()), save(deflated, tmp_path / "deflated.dcm")):
        assert holds_identity("doe", path)
        assert not holds_identity("case_07", path)


def test_tags_inside_sequences_and_of_other_people_count(tmp_path: Path) -> None:
    other = Dataset()
    other.PatientID, other.PatientName = "ZZ-9", "Roe^Richard"
    file = save(
        ct_dataset(stored_slices(1)[0], 0.0, 1, OtherPatientIDsSequence=Sequence([other]), OperatorsName="Poe^Edgar"),
        tmp_path / "one.dcm",
    )
    assert holds_identity("zz9", file)
    assert holds_identity("richard", file)
    assert holds_identity("poe", file)


def test_short_names_count_together(tmp_path: Path) -> None:
    file = save(ct_dataset(stored_slices(1)[0], 0.0, 1, PatientName="Li^Wu"), tmp_path / "one.dcm")
    assert holds_identity("wu_li.dcm", file)
    assert not holds_identity("li", file)


@pytest.mark.parametrize("name", ["mri.nii", "mri.nii.gz"])
def test_text_fields_of_nifti_count(tmp_path: Path, name: str) -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.header["descrip"], image.header["db_name"] = b"Doe Jane, 4711-22", b"19580312"
    nib.save(image, tmp_path / name)
    assert holds_identity("jane_doe", tmp_path / name)
    assert holds_identity("patient_19580312", tmp_path)
    assert not holds_identity("case_07", tmp_path / name)


def test_of_what_cannot_be_read_nothing_is_known(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    (folder / "000.dcm").write_bytes(b"")
    (folder / "001.dcm").write_bytes(next(folder.glob("003.dcm")).read_bytes()[:300])
    os.mkfifo(folder / "002.dcm")
    assert holds_identity("doe", folder)
    for damaged in (folder / "000.dcm", folder / "001.dcm", folder / "002.dcm", tmp_path / "nowhere"):
        assert not holds_identity("doe", damaged)


def spoilt_study(folder: Path, name: str) -> Path:
    study(folder)
    (folder / "003.dcm").rename((folder / name).with_suffix(".tmp"))
    damaged = folder / name
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes((folder / name).with_suffix(".tmp").read_bytes()[:40])
    damaged.with_suffix(".tmp").unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "shown"),
    [("sub/slice 1.dcm", "sub/slice 1.dcm"), ("sub/Jane_Doe.dcm", "file 3 of 3"), ("20240.dcm", "20240.dcm")],
)
def test_a_refusal_names_the_file_or_its_number(tmp_path: Path, name: str, shown: str) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(RefusedError, match=f"^unreadable_file: {shown}: expected") as refusal:
        read_ct(spoilt_study(tmp_path, name))
    assert refusal.value.file == shown


def test_a_study_that_is_one_file_is_named_unless_that_tells_whose_it_is(tmp_path: Path) -> None:
    image = ct_dataset(stored_slices(1)[0], 0.0, 1, RescaleSlope=None)
    with pytest.raises(RefusedError, match="missing_tag: one.dcm: expected RescaleSlope"):
        read_ct(save(image, tmp_path / "one.dcm"))
    with pytest.raises(RefusedError, match="missing_tag: .: expected RescaleSlope"):
        read_ct(save(image, tmp_path / "doe.dcm"))


def test_a_name_with_line_breaks_stays_one_line(tmp_path: Path) -> None:
    (study(tmp_path) / "a\nb\udcff.dcm").write_bytes(b"")
    with pytest.raises(RefusedError, match=r"^unreadable_file: a\?b\?.dcm: expected"):
        read_ct(tmp_path)
