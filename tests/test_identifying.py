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

from custom_transforms import isolated_readers
from custom_transforms.ct_study import read_ct
from custom_transforms.identifying import holds_identity, shown_file
from custom_transforms.isolated_readers import read_ct_isolated, read_patient_isolated
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.study_name import name_study
from data_lists.neutral_names import hide_names

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


def patient_files(folder: Path, **texts: bytes) -> list[Path]:
    """Files of four modalities; the last one's text fields hold what is given, the others' the name of a program."""
    for name in ("Doe_Jane_flair", "Doe_Jane_t1", "Doe_Jane_t1ce", "Doe_Jane_t2"):
        image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
        for field, text in (texts if name.endswith("t2") else {"descrip": b"FSL5.0"}).items():
            image.header[field] = text
        nib.save(image, folder / f"{name}.nii.gz")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("field", ["descrip", "aux_file", "intent_name", "db_name"])
def test_text_of_one_file_speaks_for_all_files_of_a_patient(tmp_path: Path, field: str) -> None:
    files = patient_files(tmp_path, **{field: b"Doe Jane"})
    assert holds_identity("jane", tmp_path)
    assert shown_file("Doe_Jane_flair.nii.gz", files) == "file 1 of 4"
    assert name_study({"image": [str(file) for file in files]}, "0123")[0] == "0123"
    item = {"image": [file.name for file in files], "case": "Doe_Jane", "patient": "Doe_Jane"}
    assert hide_names({"test": [item]}, tmp_path, holds_identity)["test"][0]["case"] == "patient_0001"


def test_a_name_that_no_file_knows_is_shown(tmp_path: Path) -> None:
    files = patient_files(tmp_path, descrip=b"SPM12")
    assert shown_file("Doe_Jane_t2.nii.gz", files) == "Doe_Jane_t2.nii.gz"
    assert name_study({"image": [str(file) for file in files]}, "0123") == ("Doe_Jane_flair", [])


@pytest.mark.parametrize("code", ["timed_out", "killed_worker", "too_large"])
def test_what_the_reading_process_dies_of_names_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def give_up(function: str, arguments: object, *, name: str, **_: object) -> None:
        raise RefusedError.of(code, name, expected="less", got="more")

    monkeypatch.setattr(isolated_readers, "run_isolated", give_up)
    file = save(ct_dataset(stored_slices(1)[0], 0.0, 1), tmp_path / "doe.dcm")
    with pytest.raises(RefusedError, match=f"^{code}: .: expected less"):
        read_ct_isolated(file)
    (tmp_path / "mri").mkdir()
    with pytest.raises(RefusedError, match=f"^{code}: file 1 of 4: expected less"):
        read_patient_isolated(patient_files(tmp_path / "mri", db_name=b"Doe Jane"))


def test_a_file_of_a_patient_that_is_refused_is_told_by_its_number(tmp_path: Path) -> None:
    files = patient_files(tmp_path, descrip=b"Doe Jane")
    files[2].write_bytes(b"")
    with pytest.raises(RefusedError, match="^not_nifti: file 3 of 4: expected") as refusal:
        read_patient_isolated(files)
    assert refusal.value.__suppress_context__  # which names the file
