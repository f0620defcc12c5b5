"""Find the studies of a folder: is it one study, or one of many?"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from custom_transforms.dicom.beginning import looks_like_dicom, parse_beginning, read_beginning
from custom_transforms.dicom.tags import silent_pydicom

NIFTI = (".nii", ".nii.gz")
TRIED = 20  # files of a folder that are opened to find a DICOM file
MASK_FOLDERS = ("labelsTr", "labelsTs")  # of the Medical Segmentation Decathlon
Studies = list[tuple[str, Path]]


def find_studies(path: Path, task: str) -> Studies:
    """List the studies at a path, sorted by name.

    CT: a folder that directly holds DICOM files is one study. Of another, each NIfTI file and zip archive is a study,
    and so is each sub-folder, readable or not, so that a patient who was copied badly is not lost: unless at least two
    can be read and all that can be have one StudyInstanceUID, when they are the series of one study. A sub-folder whose
    own folders hold one study is that study. BraTS: a folder with NIfTI files is one patient, unless they are 4D, when
    each is one; other folders are looked through, and those with nothing to look through are patients too.

    Args:
        path: folder or file.
        task: `ct` or `brats`.

    Returns:
        name relative to `path` and place of each study; one study named `.` where the path is itself a study, or none
        was found. A name may hold a patient's name: ask `identifying.holds_identity` before it is shown.

    Example:
        >>> [name for name, _ in find_studies(Path("phantoms/CTs"), "ct")]
        ['phantom_0001', 'phantom_0002']
    """
    find = {"ct": _ct_studies, "brats": _brats_studies}[task]
    with silent_pydicom():
        places = find(path) if path.is_dir() else []
    return sorted((place.relative_to(path).as_posix(), place) for place in places or [path])


def _ct_studies(folder: Path) -> list[Path]:
    """Places of all studies below a folder, or nothing where the folder is one or holds none."""
    files, folders = _children(folder)
    single = [file for file in files if file.name.lower().endswith((*NIFTI, ".zip"))]
    if any(_study_uid_of(file) is not None for file in files[:TRIED] if file not in single):
        return []
    inside = [_studies_in(child) for child in folders]
    if not single and inside == [[child] for child in folders] and _are_series(folders):
        return []
    return [*single, *(place for places in inside for place in places)]


def _studies_in(child: Path) -> list[Path]:
    """Places of the studies of a sub-folder: itself, unless it holds several or one in a single file."""
    found = [] if child.is_symlink() else _ct_studies(child)
    return found if len(found) > 1 or any(place.is_file() for place in found) else [child]


def _are_series(folders: list[Path]) -> bool:
    """Tell whether at least two folders can be read, and all that can be are of one study."""
    uids = [uid for folder in folders if (uid := _study_uid(folder))]
    return len(uids) > 1 and len(set(uids)) == 1


def _brats_studies(folder: Path) -> list[Path]:
    """Places of all patients below a folder, or nothing where the folder is one or holds none."""
    files, folders = _children(folder)
    images = [file for file in files if file.name.lower().endswith(NIFTI)]
    are_stacks = [_is_stack(file) for file in images]
    if images and (True not in are_stacks or False in are_stacks):
        return []
    found = images
    for child in folders:
        if child.name not in MASK_FOLDERS:
            found += ([] if child.is_symlink() else _brats_studies(child)) or [child]
    return found


def _children(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders in a folder, by name; hidden ones are passed over."""
    with suppress(OSError):
        children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
        return [child for child in children if child.is_file()], [child for child in children if child.is_dir()]
    return [], []


def _study_uid(folder: Path) -> str:
    """StudyInstanceUID of the first readable DICOM file of a folder; empty where there is none."""
    for number, file in enumerate(_files(folder)):
        if number == TRIED:
            break
        if uid := _study_uid_of(file):
            return uid
    return ""


def _files(folder: Path) -> Iterator[Path]:
    files, folders = _children(folder)
    yield from files
    for child in folders:
        if not child.is_symlink():
            yield from _files(child)


def _study_uid_of(file: Path) -> str | None:
    """StudyInstanceUID of a DICOM file, empty where it cannot be read; None for a file of another kind."""
    with suppress(OSError):
        start = read_beginning(file)
        if looks_like_dicom(start):
            with suppress(Exception):  # a damaged file makes pydicom raise anything
                return str(parse_beginning(start).get("StudyInstanceUID", ""))
            return ""
    return None


def _is_stack(file: Path) -> bool | None:
    """Tell by its header whether a NIfTI file has several volumes, None where that cannot be read.

    Field dim: number of axes, then their lengths.
    """
    with suppress(OSError, zlib.error):
        start = read_beginning(file)
        raw = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(start, 1024) if start[:2] == b"\x1f\x8b" else start
        for order in ("little", "big"):
            if int.from_bytes(raw[:4], order) == 348:
                axes, *lengths = (int.from_bytes(raw[at : at + 2], order) for at in range(40, 52, 2))
                return axes >= 4 and lengths[3] > 1
    return None
