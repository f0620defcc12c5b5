"""The bytes of a NIfTI file, no more of them than its header says."""

from __future__ import annotations

import gzip
import zlib
from io import BufferedIOBase
from pathlib import Path

from custom_transforms.nifti_header import SIZE_2, VoxelLayout, parse_header
from custom_transforms.refusal import RefusedError

CHUNK = 2**22
MOST_PADDING = 2**16  # zeros that some programs write after the last voxel; a lost slice of a scan is larger


def read_stream(path: Path) -> tuple[VoxelLayout, bytearray]:
    """Read a `.nii` or `.nii.gz` file; of the latter, gzip's length and checksum are verified at its end.

    The header is judged first, and then only as much is inflated as it says, so that a gzip bomb stays small.

    Args:
        path: the file.

    Returns:
        the header and all bytes of the file up to the last voxel.

    Raises:
        RefusedError: no such file, damaged gzip, no NIfTI, fewer or more bytes than the header says.
    """
    if path.exists() and not path.is_file():  # to open a pipe would wait for ever
        raise RefusedError.of("unreadable_file", path.name, expected="a file", got="a folder, pipe or device")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return _read(stream, path.name)
    except FileNotFoundError as error:
        raise RefusedError.of("missing_file", path.name, expected="a NIfTI file", got="no such file") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        if not path.stat().st_size:
            raise RefusedError.of("not_nifti", path.name, expected="a NIfTI header", got="an empty file") from error
        raise RefusedError.of("damaged_gzip", path.name, expected="a whole gzip file", got=str(error)) from error
    except OSError as error:
        raise RefusedError.of("unreadable_file", path.name, expected="a file", got=str(error.strerror)) from error


def _read(stream: BufferedIOBase, name: str) -> tuple[VoxelLayout, bytearray]:
    head = stream.read(SIZE_2)
    layout = parse_header(head, name)
    raw = bytearray(layout.end)  # its pages are taken only when written to
    filled = min(len(head), layout.end)
    raw[:filled] = head[:filled]
    while filled < layout.end and (chunk := stream.read(min(CHUNK, layout.end - filled))):
        raw[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    if filled < layout.end:
        got = f"{filled}"
        raise RefusedError.of("short_data", name, expected=f"{layout.end} bytes, as the header says", got=got)
    rest = head[layout.end :] + stream.read(MOST_PADDING + 1)  # reads to the end of gzip data, and so verifies them
    if len(rest) > MOST_PADDING or any(rest):
        expected = f"{layout.end} bytes, as the header says"
        raise RefusedError.of("surplus_data", name, expected=expected, got="more")
    return layout, raw
