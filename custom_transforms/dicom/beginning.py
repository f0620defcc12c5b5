"""Parse the beginning of a DICOM file: its tags before the pixels, with little read and less believed."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

BEGINNING = 1 << 20  # bytes of a file in which the tags of patient, study and series lie, far before the pixels
DEFLATED = b"1.2.840.10008.1.2.1.99"
EXPLICIT = b"1.2.840.10008.1.2.1"
BARE_START = b"\x08\x00"  # group 0008, with which a dataset without preamble begins


def read_beginning(file: Path) -> bytes:
    """Read the first bytes of a regular file; of a pipe or device, which may never end, nothing.

    Raises:
        OSError: the file cannot be read.
    """
    if not file.is_file():
        return b""
    with file.open("rb") as stream:
        return stream.read(BEGINNING)


def looks_like_dicom(start: bytes) -> bool:
    """Tell by its first bytes whether a file is DICOM (PS3.10 7.1), with or without preamble."""
    return start[128:132] == b"DICM" or start.startswith(BARE_START)


def parse_beginning(start: bytes) -> Dataset:
    """Parse the first bytes of a file; of a deflated one, no more is inflated than of another is read.

    Raises:
        Exception: of any kind, where the bytes are damaged.
    """
    if DEFLATED in start[:1024]:
        meta = 144 + int.from_bytes(start[140:144], "little")  # PS3.10 7.1: group 0002 says its own length first
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(start[meta:], BEGINNING)
        start = start[:meta].replace(DEFLATED, EXPLICIT.ljust(len(DEFLATED), b"\0")) + inflated
    return pydicom.dcmread(io.BytesIO(start), stop_before_pixels=True, force=True)
