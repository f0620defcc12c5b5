"""Which file of one patient's folder is which modality, in any of the naming conventions."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data_lists.case_files import MODALITIES, CaseFiles
from data_lists.kaggle_layout import SLICE_NAME
from data_lists.msd_layout import MsdHeader, read_msd_header
from data_lists.nifti_case_folders import MASK, NAMES_2018, NAMES_2023

NIFTI = (".nii", ".nii.gz")
OTHER_FORMATS = (".hdr", ".img", ".hdr.gz", ".img.gz", ".mha", ".mhd", ".nrrd", ".mgz", ".dcm")
MASK_ENDINGS = tuple(names.endings[MASK] for names in (NAMES_2018, NAMES_2023))
DEEPEST = 4  # folders inside folders; releases have one or two
EXPECTED = (
    "one patient's files: <case>_flair.nii.gz, _t1, _t1ce, _t2, or <case>-t2f.nii.gz, -t1n, -t1c, -t2w, or one 4D"
)


class UnclearFilesError(ValueError):
    """Files that are not those of one patient.

    Attributes:
        reason_code: as in a refusal.
        file: the file, relative to the folder; `.` is the folder.
        expected: what would have been right.
        got: what came.
    """

    def __init__(self, reason_code: str, file: str, expected: str, got: str) -> None:
        super().__init__(f"{reason_code}: {file}: expected {expected}, got {got}")
        self.reason_code, self.file, self.expected, self.got = reason_code, file, expected, got


def find_patient(path: Path) -> CaseFiles:
    """Find the files of one patient by their names; no voxel is read.

    Args:
        path: the patient's folder, or one 4D NIfTI file.

    Returns:
        The files, relative to the folder, or to that of the file. `modalities` names those that are there, which may
        be fewer than four; `label` is None where no mask is there.

    Raises:
        OSError: If the folder cannot be read.
        UnclearFilesError: If nothing is there, or the files of several patients, or one thing twice.
    """
    if not path.exists():
        raise UnclearFilesError("missing_file", path.name, "a patient's folder or a 4D NIfTI file", "nothing there")
    if not path.is_dir():
        return _stack_file(path)
    cases = group_patients(_list_files(path))
    if len(cases) > 1:
        raise UnclearFilesError("several_patients", ".", "the files of one patient", f"those of {len(cases)}")
    return cases[0]


def group_patients(files: Sequence[str]) -> list[CaseFiles]:
    """Group files into patients by folder and name, be they complete or not.

    Args:
        files: relative POSIX paths.

    Returns:
        At least one, as `find_patient` describes them; several only where they have the names of BraTS or of slices.

    Raises:
        UnclearFilesError: If the files are nobody's, or are one thing twice.
    """
    if not files:
        raise UnclearFilesError("no_files", ".", EXPECTED, "no file")
    cases = []
    for (_, case), found in _named_cases(files).items():
        present = tuple(modality for modality in MODALITIES if modality in found)
        cases.append(CaseFiles(case, case, tuple(found[it] for it in present), present, found.get(MASK)))
    return cases or _slices(files) or [_lone_stack(files)]


def _list_files(folder: Path) -> list[str]:
    """POSIX paths relative to a folder, sorted; hidden ones and links to folders are left out."""
    found: list[str] = []
    for here, subfolders, names in os.walk(folder):
        place = Path(here).relative_to(folder)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and len(place.parts) < DEEPEST)
        found += [(place / name).as_posix() for name in sorted(names) if not name.startswith(".")]
    return found


def _named_cases(files: Sequence[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Files by folder and case, then by modality or mask, where they have the names of BraTS."""
    cases: dict[tuple[str, str], dict[str, str]] = {}
    for names in (NAMES_2018, NAMES_2023):
        kinds = {ending: kind for kind, ending in names.endings.items()}
        for path in files:
            folder, _, name = path.rpartition("/")
            match = names.pattern.fullmatch(name)
            if match:
                found = cases.setdefault((folder, match["case"]), {})
                kind = kinds[match["ending"]]
                if kind in found:
                    raise UnclearFilesError("two_files", path, f"one file for {kind}", "another as well")
                found[kind] = path
    return {case: found for case, found in cases.items() if set(found) != {MASK}}  # that of a 4D file has no modality


def _slices(files: Sequence[str]) -> list[CaseFiles]:
    """The h5 slices of each volume, as a pattern."""
    patterns: Counter[tuple[str, str]] = Counter()
    for path in files:
        folder, separator, name = path.rpartition("/")
        if match := SLICE_NAME.fullmatch(name):
            volume = f"volume_{match['volume']}"
            patterns[volume, f"{folder}{separator}{volume}_slice_*.h5"] += 1
    return [
        CaseFiles(volume, volume, (pattern,), MODALITIES, pattern, slices=count)
        for (volume, pattern), count in patterns.items()
    ]


def _lone_stack(files: Sequence[str]) -> CaseFiles:
    """The only NIfTI file of a folder that is no mask, and the mask beside it."""
    images = [path for path in files if path.endswith(NIFTI)]
    masks = [path for path in images if _stem(path).endswith(MASK_ENDINGS)]
    stacks = [path for path in images if path not in masks]
    if len(stacks) == 1 and len(masks) <= 1:
        return CaseFiles(_stem(stacks[0]), _stem(stacks[0]), (stacks[0],), (), masks[0] if masks else None)
    others = [path for path in files if path.lower().endswith(OTHER_FORMATS)]
    if others and not images:
        raise UnclearFilesError("not_nifti", others[0], "NIfTI in single files (.nii, .nii.gz)", "another format")
    raise UnclearFilesError("no_patient", ".", EXPECTED, f"{len(files)} files with other names")


def _stack_file(path: Path) -> CaseFiles:
    """A 4D file, and its mask: in `labelsTr`, as in the Medical Segmentation Decathlon, or beside it."""
    if not path.name.endswith(NIFTI):
        raise UnclearFilesError("not_nifti", path.name, "a NIfTI file (.nii, .nii.gz)", "another name")
    stem = _stem(path.name)
    beside = [f"{stem}{ending}{suffix}" for ending in MASK_ENDINGS for suffix in NIFTI]
    if path.absolute().parent.name in ("imagesTr", "imagesTs"):
        beside.insert(0, f"../labelsTr/{path.name}")
    masks = [name for name in beside if (path.parent / name).is_file()]
    return CaseFiles(stem, stem, (path.name,), (), masks[0] if masks else None)


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".gz").removesuffix(".nii")


def declared_header(path: Path) -> MsdHeader | None:
    """Read what the `dataset.json` of the Medical Segmentation Decathlon declares for a 4D file of it.

    Args:
        path: the 4D file.

    Returns:
        The header, or None where the file is not in `imagesTr` or `imagesTs` beside such a file.

    Raises:
        UnclearFilesError: If the header cannot be understood.
    """
    parent = path.absolute().parent
    if parent.name not in ("imagesTr", "imagesTs") or not (parent.parent / "dataset.json").is_file():
        return None
    try:
        return read_msd_header(parent.parent)
    except ValueError as error:
        expected = "the modalities and labels of the brain tumour task, by number"
        raise UnclearFilesError("bad_data_set_file", "../dataset.json", expected, "something else") from error
