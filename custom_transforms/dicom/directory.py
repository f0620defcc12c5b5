"""What a DICOMDIR says of a folder: it is never followed, but it may not point out of the folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom

from custom_transforms.refusal import RefusedError, warning

NAME = "DICOMDIR"  # PS3.10 8.6, in any case, as file systems change it


def check_directories(folder: Path, files: Sequence[Path]) -> list[str]:
    """Compare the directories of a folder with its files (PS3.3 F.5).

    Args:
        folder: the study.
        files: all files below it, of which those called `DICOMDIR` are directories.

    Returns:
        a warning where images are listed that are not there. A directory that cannot be read says nothing.

    Raises:
        RefusedError: one points out of the folder.
    """
    missing = 0
    there = {file.relative_to(folder).as_posix().upper() for file in files}
    for directory in (file for file in files if is_directory(file)):
        place = directory.parent.relative_to(folder)
        for parts in _listed(directory):
            if any(part in ("", ".", "..") or set(part) & set("/\\:") for part in parts):
                name, expected = directory.relative_to(folder).as_posix(), "images inside the study's folder"
                raise RefusedError.of("link_outside", name, expected=expected, got="a directory that points out of it")
            missing += place.joinpath(*parts).as_posix().upper() not in there
    return [warning(f"{missing} files that the DICOMDIR lists are not there")] * bool(missing)


def is_directory(file: Path) -> bool:
    """Tell by its name whether a file is a DICOMDIR."""
    return file.name.upper() == NAME


def _listed(directory: Path) -> Iterator[list[str]]:
    """Parts of the path of each file that a directory lists."""
    try:
        records = pydicom.dcmread(str(directory), specific_tags=["DirectoryRecordSequence"]).DirectoryRecordSequence
        named = [record.get("ReferencedFileID") for record in records]
    except Exception:  # a damaged file makes pydicom raise anything
        return
    for name in named:
        if name is not None:
            yield [str(part) for part in ([name] if isinstance(name, str) else name)]
