"""A folder of arrays as plain `.npy` files, complete or absent, with a checksum of each."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_transforms.atomic_file import sync_folder, unfinished_name

Arrays = dict[str, NDArray[Any]]
CHECKSUMS = "crc32.json"  # CRC-32 is for accidents; it is several times as fast as a hash that withstands intent
BLOCK_BYTES = 1 << 20


def write_arrays(arrays: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Write a folder, of which nothing is to be seen before all of it is on the disk."""
    unfinished = folder.parent / unfinished_name()  # mkdtemp's are for one user's eyes alone
    unfinished.mkdir(parents=True)
    try:
        for name, array in arrays.items():
            _save(array, unfinished / f"{name}.npy")
        _write_checksums(unfinished)
        unfinished.rename(folder)
        sync_folder(folder.parent)
    except OSError:
        if not folder.is_dir():  # else another process was first, with the same content
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def open_arrays(folder: Path, names: Collection[str]) -> Arrays:
    """Open the arrays without reading them.

    Raises:
        FileNotFoundError, ValueError, EOFError: there are others than `names`, or a file is cut.
    """
    found = {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}
    if found.keys() != set(names):
        raise ValueError(f"prepared files: expected {', '.join(names)}, got {', '.join(found)}")
    return found


def is_undamaged(folder: Path) -> bool:
    """Tell whether every file is still what was written, by reading all of them; a flipped bit shows nowhere else."""
    try:
        return bool(json.loads((folder / CHECKSUMS).read_text()) == _checksums(folder))
    except (OSError, ValueError):  # a disk that cannot read a file has damaged it, too
        return False


def discard(folder: Path) -> None:
    """Take a folder away at once, whoever has files of it open, and then remove it."""
    aside = folder.with_name(unfinished_name())
    with suppress(FileNotFoundError):  # another process did it
        folder.rename(aside)
        shutil.rmtree(aside)


def _checksums(folder: Path) -> dict[str, int]:
    return {file.name: _crc32(file) for file in folder.glob("*.npy")}


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _save(array: NDArray[Any], path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(array) if array.ndim else array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _write_checksums(folder: Path) -> None:
    with (folder / CHECKSUMS).open("w") as file:
        json.dump(_checksums(folder), file)
        file.flush()
        os.fsync(file.fileno())
