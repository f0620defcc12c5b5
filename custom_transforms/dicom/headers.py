"""Find the DICOM files of a folder and read their headers; pixels stay in the file until asked for."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.tag import BaseTag, Tag

from custom_transforms.dicom.beginning import looks_like_dicom
from custom_transforms.dicom.directory import check_directories, is_directory
from custom_transforms.refusal import RefusedError
from custom_transforms.study_files import files_below

DEFLATED = "1.2.840.10008.1.2.1.99"
LARGE_ELEMENT = 4096  # bytes; of the tags below only pixels are longer, and these wait in the file
LARGEST_INFLATED = 1 << 30  # bytes; an enhanced head CT of 1000 frames has half of it
DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}

# Of names and dates only what tells patients apart is read, and hashed; what is not in memory cannot reach a log.
READ_TAGS = [
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SeriesNumber",
    "InstanceNumber",
    "ConvolutionKernel",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "LossyImageCompression",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
]
_READ_TAGS = tuple(Tag(keyword) for keyword in READ_TAGS)  # looked up once, and not for each file


def read_headers(path: Path, tags: Sequence[BaseTag] = _READ_TAGS) -> tuple[list[FileDataset], list[str]]:
    """Read the header of a DICOM file, or of every DICOM file below a folder.

    Args:
        path: a file, or a folder, walked through its sub-folders. Files that begin with a dot, a `DICOMDIR`, and files
            of another kind are passed over.
        tags: what is read of each file.

    Returns:
        the datasets, in the order of their paths, and notes.

    Raises:
        RefusedError: no DICOM file, too many files, or one that ought to be DICOM and cannot be read.
    """
    files, warnings = {path: path.name}, []
    if path.is_dir():
        below = files_below(path)
        warnings = check_directories(path, below)
        files = {file: file.relative_to(path).as_posix() for file in below if not is_directory(file)}
    kept = {file: name for file, name in files.items() if _is_dicom(file, name)}
    _check_lost(kept, files)
    if not kept:
        name = "." if path.is_dir() else path.name
        raise RefusedError.of("not_dicom", name, expected="a DICOM file", got=f"none in {len(files)} files")
    others = len(files) - len(kept)
    headers = [read_header(file, name, tags) for file, name in kept.items()]
    return headers, [*warnings, *[f"{others} files that are not DICOM left out"] * (others > 0)]


def read_header(file: Path, name: str, tags: Sequence[BaseTag] = _READ_TAGS) -> FileDataset:
    """Read one file, its pixel data only when `PixelData` is asked for.

    Args:
        file: where it is.
        name: of the file within the study, for messages.
        tags: what is read.

    Raises:
        RefusedError: the file cannot be parsed, or a deflated one inflates beyond all measure.
    """
    try:
        deflated = DEFLATED.encode() in _first_bytes(file, 1024)
        if deflated:
            _check_inflated_size(file, name)
        # A deflated dataset has no place in the file to come back to.
        defer = None if deflated else LARGE_ELEMENT
        source = pydicom.dcmread(str(file), defer_size=defer, force=True, specific_tags=list(tags))
    except RefusedError:
        raise
    except Exception:  # a damaged file makes pydicom raise anything, with values of tags in its text
        raise RefusedError.of("unreadable_file", name, expected="a whole DICOM file", got="damage") from None
    source.name_in_study = name
    return source


def _check_lost(kept: Mapping[Path, str], files: Mapping[Path, str]) -> None:
    """Refuse a file that is no DICOM and whose name is that of an image but for numbers: a lost slice."""
    image_names = {re.sub(r"\d+", "0", name) for name in kept.values()}
    for name in sorted(set(files.values()) - set(kept.values())):
        if re.search(r"\d", name) and re.sub(r"\d+", "0", name) in image_names:
            expected = "a DICOM file, as the others of such a name"
            raise RefusedError.of("unreadable_file", name, expected=expected, got="something else")


def _first_bytes(file: Path, count: int) -> bytes:
    with file.open("rb") as stream:
        return stream.read(count)


def _is_dicom(file: Path, name: str) -> bool:
    """Tell whether a file is DICOM (PS3.10 7.1); one that has the name of an image and is none is refused.

    An empty file, or an image file without its beginning, is a slice that was lost.
    """
    try:
        start = _first_bytes(file, 132)
    except OSError as error:
        raise RefusedError.of("unreadable_file", name, expected="a readable file", got=str(error.strerror)) from None
    if looks_like_dicom(start):
        return True
    if not start or file.suffix.lower() in DICOM_SUFFIXES:
        got = "an empty file" if not start else "something else"
        raise RefusedError.of("unreadable_file", name, expected="a DICOM file", got=got)
    return False


def _check_inflated_size(file: Path, name: str) -> None:
    """Refuse a deflated dataset that would fill the memory; a kilobyte can hold a megabyte."""
    raw = file.read_bytes()
    start = 144 + int.from_bytes(raw[140:144], "little")  # PS3.10 7.1: group 0002 says its own length first
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = len(stream.decompress(raw[start:], LARGEST_INFLATED))
    if inflated == LARGEST_INFLATED:
        raise RefusedError.of("too_large", name, expected=f"at most {LARGEST_INFLATED >> 20} MiB", got="more")
