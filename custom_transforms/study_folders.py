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
Studies = list[tuple[str, Path]]


def find_studies(path: Path, task: str) -> Studies:
    """List the studies at a path, sorted by name.

    CT: a folder that directly holds DICOM files is one study. Of another, each NIfTI file and zip archive is a study,
    and so is each sub-folder, if two of them differ in StudyInstanceUID: else they are the series of one study. What
    cannot be read counts as a study only beside others. BraTS: a folder with NIfTI files is one patient, unless all are
    4D, when each is one; other folders are looked through.

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
    """Places of several studies, of one that is not the folder itself, or nothing where the folder is one study."""
    files, folders = _children(folder)
    single = [file for file in files if file.name.lower().endswith((*NIFTI, ".zip"))]
    if any(_study_uid_of(file) is not None for file in files[:TRIED] if file not in single):
        return []
    inside = {child: [] if child.is_symlink() else _ct_studies(child) for child in folders}
    uids = {uid for child in folders if not inside[child] for uid in [_study_uid(child)] if uid}
    several = len(uids) + sum(len(found) for found in inside.values()) + len(single) > 1
    if not several:
        return single or [place for found in inside.values() for place in found]
    return [*single, *(place for child in folders for place in inside[child] or [child])]


def _brats_studies(folder: Path) -> list[Path]:
    """Places of all patients below a folder, or nothing where the folder is one or holds none."""
    files, folders = _children(folder)
    images = [file for file in files if file.name.lower().endswith(NIFTI)]
    if images:
        return images if all(_is_stack(file) for file in images) else []
    found: list[Path] = []
    for child in folders:
        if child.name.lower().startswith("labels"):  # labelsTr of the Medical Segmentation Decathlon
            continue
        deeper = [] if child.is_symlink() else _brats_studies(child)
        found += deeper or [child] * any(child.glob("*.nii*"))
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


def _is_stack(file: Path) -> bool:
    """Tell by its header whether a NIfTI file has several volumes (field dim: number of axes, then their lengths)."""
    with suppress(OSError, zlib.error):
        start = read_beginning(file)
        raw = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(start, 1024) if start[:2] == b"\x1f\x8b" else start
        for order in ("little", "big"):
            if int.from_bytes(raw[:4], order) == 348:
                axes, *lengths = (int.from_bytes(raw[at : at + 2], order) for at in range(40, 52, 2))
                return axes >= 4 and lengths[3] > 1
    return False
