"""Files that are damaged, foreign, or lead out of the study's folder are refused; none is followed, none hangs."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from ct_files import save
from head_files import check, write_head_series
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from custom_transforms.refusal import RefusedError

Damage = Callable[[Path], object]
HTML = b"<!DOCTYPE html><html><body>Session expired</body></html>"
SLICE = "024.dcm"  # the fourth


def cut(count: int) -> Damage:
    return lambda folder: (folder / SLICE).write_bytes((folder / SLICE).read_bytes()[:count])


def replaced(content: bytes) -> Damage:
    return lambda folder: (folder / SLICE).write_bytes(content)


def without_suffix(folder: Path) -> None:
    """All files are called IM…, and a page of HTML is called so too: it took the place of the topmost slice."""
    top = max(folder.glob("*.dcm"), key=lambda file: pydicom.dcmread(file).ImagePositionPatient[2])
    for number, file in enumerate(sorted(folder.glob("*.dcm"))):
        if file == top:
            file.write_bytes(HTML)
        file.rename(folder / f"IM{number:04d}")


def torn(folder: Path) -> None:
    """Bytes in the middle of the header are overwritten."""
    content = bytearray((folder / SLICE).read_bytes())
    content[400:600] = b"\xff" * 200
    (folder / SLICE).write_bytes(bytes(content))


def linked_out(folder: Path) -> None:
    (folder / SLICE).rename(folder.parent / "elsewhere.dcm")
    (folder / SLICE).symlink_to(folder.parent / "elsewhere.dcm")


def folder_linked_out(folder: Path) -> None:
    write_head_series(folder.parent / "other")
    (folder / "sub").symlink_to(folder.parent / "other")


def dicomdir(*file_ids: list[str]) -> Damage:
    """Add a DICOMDIR that lists these files."""

    def add(folder: Path) -> None:
        records = []
        for file_id in file_ids:
            record = Dataset()
            record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", file_id
            records.append(record)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.840.10008.1.3.10"
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        directory = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        directory.SOPClassUID, directory.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
        directory.DirectoryRecordSequence = Sequence(records)
        save(directory, folder / "DICOMDIR")

    return add


FILES: dict[str, tuple[Damage, str]] = {
    "cut in the pixels": (cut(40_000), f"truncated_pixels: {SLICE}"),
    "cut in the header": (cut(400), f"[a-z_]+: {SLICE}"),
    "cut in the preamble": (cut(100), f"unreadable_file: {SLICE}"),
    "empty": (replaced(b""), f"unreadable_file: {SLICE}: expected a DICOM file, got an empty file"),
    "HTML": (replaced(HTML), f"unreadable_file: {SLICE}"),
    "HTML without a suffix": (without_suffix, "unreadable_file: IM[0-9]+: .* as the others of such a name"),
    "zeros": (replaced(b"\0" * 80_000), f"unreadable_file: {SLICE}"),
    "only a mark of DICOM": (replaced(b"\0" * 128 + b"DICM"), f"[a-z_]+: {SLICE}"),
    "torn": (torn, f"[a-z_]+: {SLICE}"),
    "a link out": (linked_out, f"link_outside: {SLICE}"),
    "a folder that is a link out": (folder_linked_out, "link_outside: sub"),
    "a link to nowhere": (lambda folder: (folder / "x").symlink_to("nowhere"), "unreadable_file: x"),
    "a link to itself": (lambda folder: (folder / "x").symlink_to("x"), "unreadable_file: x"),
    "a pipe": (lambda folder: os.mkfifo(folder / "999.dcm"), "unreadable_file: 999.dcm: .* pipe, socket or device"),
    "a link to a device": (lambda folder: (folder / "999.dcm").symlink_to("/dev/zero"), "link_outside"),
    "a DICOMDIR that points up": (dicomdir(["..", "OTHER", "IM1"]), "link_outside: DICOMDIR"),
    "a DICOMDIR that points to the root": (dicomdir(["", "etc", "passwd"]), "link_outside: DICOMDIR"),
    "a DICOMDIR with slashes": (dicomdir(["../../x"]), "link_outside: DICOMDIR"),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_or_leading_out_is_refused(tmp_path: Path, name: str) -> None:
    damage, reason = FILES[name]
    folder = write_head_series(tmp_path / "study")
    damage(folder)
    with pytest.raises(RefusedError, match=f"^{reason}") as refusal:
        check(folder)
    assert "\n" not in str(refusal.value)


def test_dicomdir_that_lists_what_is_not_there_is_warned_of(tmp_path: Path) -> None:
    folder = write_head_series(tmp_path / "study")
    dicomdir([SLICE], ["IMAGES", "IM1"], ["IMAGES", "IM2"])(folder)
    study = check(folder)
    assert study.warnings == ("2 files that the DICOMDIR lists are not there",)
    assert study.notes == ()


def test_empty_folders_and_thousands_of_empty_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deep" / "empty").mkdir(parents=True)
    with pytest.raises(RefusedError, match="^not_dicom: .: expected a DICOM file, got none in 0 files"):
        check(tmp_path)
    for number in range(3000):
        (tmp_path / f"IM{number}").touch()
    with pytest.raises(RefusedError, match="^unreadable_file: IM0: expected a DICOM file, got an empty file"):
        check(tmp_path)


def test_pipe_as_the_study_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "study.dcm")
    with pytest.raises(RefusedError, match="^unreadable_file: study.dcm: .* pipe or device"):
        check(tmp_path / "study.dcm")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", HTML])
def test_damaged_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "study.zip").write_bytes(content)
    with pytest.raises(RefusedError, match="^damaged_archive: study.zip: expected"):
        check(tmp_path / "study.zip")


def test_zip_that_leads_out_or_holds_no_dicom_is_refused(tmp_path: Path) -> None:
    for name, reason in (("../out.dcm", "unsafe_archive: study.zip"), ("notes.txt", "not_dicom: .")):
        with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
            archive.writestr(name, "text")
        with pytest.raises(RefusedError, match=f"^{reason}: expected"):
            check(tmp_path / "study.zip")
