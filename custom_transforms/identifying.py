"""Tell whether a name of a file, folder or case gives away whose it is, by comparing it with the file's own tags.

Tags are read here and nowhere else, only to be compared; what they hold is neither returned nor shown.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import permutations
from pathlib import Path

import nibabel as nib
from pydicom.dataset import Dataset

from custom_transforms.archive import member_beginnings
from custom_transforms.dicom.beginning import BEGINNING, looks_like_dicom, parse_beginning, read_beginning
from custom_transforms.dicom.tags import silent_pydicom

SHORTEST = 3  # characters of a part that counts
LONG_NUMBER = 5  # digits of a number inside an id that gives the id away alone
SAMPLES = 3  # DICOM files of a folder or archive whose tags are read: of one study they say the same
TRIED = 50  # files that are opened: to find so many, or of NIfTI, each of which has a text of its own
MOST_PARTS = 4  # of a name, that are put together in every order

# Ids of a person, a visit or an examination (PS3.15 table E.1-1). Of names (VR PN) and dates (DA, DT) every tag counts.
# UIDs do not: they name images, and many public collections call folders by them.
IDS = {"PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "MedicalRecordLocator"}
IDS |= {"PatientAddress", "PatientTelephoneNumbers", "ServiceEpisodeID", "RequestedProcedureID"}
NIFTI = (".nii", ".nii.gz")
NIFTI_TEXTS = ("descrip", "aux_file", "intent_name", "db_name")


def holds_identity(text: str, path: Path) -> bool:
    """Tell whether a text equals or holds an identifying tag of a file or study.

    Upper and lower case, accents and separators make no difference. Of a person's name each part counts alone, and
    parts together in any order; of an id the whole, and a number of `LONG_NUMBER` digits in it; of a date its digits in
    every order. What has fewer than `SHORTEST` characters does not count.

    Args:
        text: name of a file, folder or case.
        path: DICOM or NIfTI file, folder or zip archive of such files, of which the first are read. Of what cannot be
            read nothing is known, and nothing is raised.

    Example:
        >>> holds_identity("doe_jane/ct", Path("study"))  # a study of the patient Doe^Jane
        True
    """
    plain = _plain(text)
    if len(plain) < SHORTEST:
        return False
    with silent_pydicom():
        return any(part in plain for parts in _samples(path) for part in parts)


def shown_name(name: str, path: Path) -> str:
    """Name of a file of a study as it may be shown: where it gives away whose it is, its number in the order of names.

    Args:
        name: path relative to the study's folder, or the base name of a study that is one file.
        path: the study.
    """
    if not (holds_identity(name, path) or holds_identity(name, path / name)):
        return name
    files = sorted(file for file in path.rglob("*") if not file.is_dir()) if path.is_dir() else []
    number = next((number for number, file in enumerate(files, start=1) if file == path / name), None)
    return f"file {number} of {len(files)}" if number else "."


def shown_file(name: str, files: Sequence[Path]) -> str:
    """Name one of several files of a study as it may be shown: else by its number in the order of their paths.

    Args:
        name: base name of the file, or more of its path.
        files: all files of the study; the tags of each count.
    """
    if not any(holds_identity(name, file) for file in files):
        return name
    ends = [f"/{file.as_posix()}".endswith(f"/{name}") for file in sorted(files)]
    return f"file {ends.index(True) + 1} of {len(files)}" if any(ends) and len(files) > 1 else "."


def _plain(text: str) -> str:
    """Letters and digits alone, without case and accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text.casefold()) if letter.isalnum())


def _samples(path: Path) -> Iterator[set[str]]:
    """What identifies, of the first readable files."""
    found = 0
    for number, (name, start) in enumerate(_beginnings(path)):
        if number == TRIED or found == SAMPLES:
            return
        parts: set[str] = set()
        with suppress(Exception):  # a damaged file makes the libraries raise anything; then nothing is known of it
            if name.lower().endswith(NIFTI):
                parts.update(_of_nifti(start))
            elif looks_like_dicom(start):
                parts.update(_of_dicom(parse_beginning(start)))
        found += bool(parts) and not name.lower().endswith(NIFTI)
        yield parts


def _beginnings(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and first bytes of a file, or of the files of a folder or archive, in order."""
    with suppress(Exception):
        if path.is_file() and zipfile.is_zipfile(path):  # a pipe would never end
            yield from member_beginnings(path, BEGINNING)
            return
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file == path or not file.is_symlink():  # nothing out of the folder
                with suppress(OSError):
                    yield file.name, read_beginning(file)


def _of_dicom(dataset: Dataset) -> Iterator[str]:
    for tag in list(dataset.keys()):
        with suppress(Exception):  # one damaged value says nothing, the others do
            element = dataset[tag]
            if element.VR == "SQ":
                for item in element.value:
                    yield from _of_dicom(item)
                continue
            values = [str(value) for value in (element.value if element.VM > 1 else [element.value])]
            for value in values:
                if element.VR == "PN":
                    yield from _of_name(value)
                elif element.VR in ("DA", "DT"):
                    yield from _of_date(value)
                elif element.keyword in IDS:
                    yield from _of_id(value)


def _of_nifti(start: bytes) -> Iterator[str]:
    raw = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(start, 1 << 10) if start[:2] == b"\x1f\x8b" else start
    kind = (
        nib.Nifti1Header if 348 in (int.from_bytes(raw[:4], order) for order in ("little", "big")) else nib.Nifti2Header
    )
    header = kind.from_fileobj(io.BytesIO(raw), check=False)
    for field in NIFTI_TEXTS:
        if field in header:
            text = bytes(header[field]).decode("utf-8", "replace")
            for word in (text, *re.split(r"[^\w-]+", text)):
                yield from _of_id(word)
            yield from _of_name(text)


def _of_name(value: str) -> Iterator[str]:
    """Parts of a name that hold a letter, and parts together in any order."""
    parts = [part for part in map(_plain, re.split(r"[\W_]+", value)) if any(letter.isalpha() for letter in part)]
    yield from (part for part in parts if len(part) >= SHORTEST)
    for count in range(2, min(len(parts), MOST_PARTS) + 1):
        together = map("".join, permutations(parts[:MOST_PARTS], count))
        yield from (part for part in together if len(part) >= SHORTEST)


def _of_id(value: str) -> Iterator[str]:
    """The whole, and long numbers in it."""
    yield from (part for part in [_plain(value)] if len(part) >= SHORTEST)
    yield from re.findall(rf"\d{{{LONG_NUMBER},}}", value)


def _of_date(value: str) -> Iterator[str]:
    digits = re.sub(r"\D", "", value)[:8]
    if len(digits) == 8 and digits.strip("0"):
        year, month, day = digits[:4], digits[4:6], digits[6:]
        for short in (year, year[2:]):
            yield from (short + month + day, day + month + short, month + day + short)
