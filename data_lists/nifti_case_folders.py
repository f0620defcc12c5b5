"""Cases with one NIfTI file per modality, as in BraTS 2018 to 2024."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_lists.case_files import MODALITIES, CaseFiles

logger = logging.getLogger(__name__)
MASK = "mask"


@dataclass(frozen=True)
class FileNames:
    """How one release names its files.

    Attributes:
        endings: what follows the case's name, for each modality and the mask.
        patient: pattern of a case's name whose group `patient` is the patient's id.
        patient_rule: the same in words, for errors.
    """

    endings: Mapping[str, str]
    patient: re.Pattern[str]
    patient_rule: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """Pattern of a file's name, with the groups `case` and `ending`."""
        endings = "|".join(map(re.escape, self.endings.values()))
        return re.compile(rf"(?P<case>.+)(?P<ending>{endings})\.nii(\.gz)?")


NAMES_2018 = FileNames(
    endings={"FLAIR": "_flair", "T1": "_t1", "T1ce": "_t1ce", "T2": "_t2", MASK: "_seg"},
    patient=re.compile(r"(?P<patient>.+)"),
    patient_rule="<patient>",
)
# The last group is the time point. Another number must stand before it: without that, `BraTS-GLI-00005` would read as
# time point 5 of a patient `BraTS-GLI`, and the whole data set as one patient.
NAMES_2023 = FileNames(
    endings={"FLAIR": "-t2f", "T1": "-t1n", "T1ce": "-t1c", "T2": "-t2w", MASK: "-seg"},
    patient=re.compile(r"(?P<patient>.+-\d+)-\d+"),
    patient_rule="<patient number>-<time point>, such as BraTS-GLI-00005-100",
)


def find_case_folders(files: Sequence[str], *, names: FileNames, unlabelled: bool) -> list[CaseFiles]:
    """Group files into cases by folder and by the beginning of their names.

    Args:
        files: relative POSIX paths; an empty folder ends in `/`.
        names: how the release names its files.
        unlabelled: leave masks out.

    Returns:
        The cases; folders may be nested (`HGG/<case>/`).

    Raises:
        ValueError: If a case lacks a modality or its mask or has one twice, or a folder of NIfTI files holds no case.
    """
    groups: dict[tuple[str, str], dict[str, str]] = {}
    strangers: dict[str, list[str]] = {}
    kinds = {ending: kind for kind, ending in names.endings.items()}
    for path in files:
        folder, _, name = path.rpartition("/")
        match = names.pattern.fullmatch(name)
        if match:
            found = groups.setdefault((folder, match["case"]), {})
            kind = kinds[match["ending"]]
            if found.setdefault(kind, path) != path:
                raise ValueError(f"expected one file for {kind} of {match['case']}, got {found[kind]} and {path}")
        elif not name or name.endswith((".nii", ".nii.gz")):
            strangers.setdefault(folder, []).append(name or "nothing")
    cases = [
        _case(case, found, strangers=strangers.get(folder, []), names=names, unlabelled=unlabelled)
        for (folder, case), found in groups.items()
    ]
    _check_strangers(strangers, folders={folder for folder, _ in groups}, names=names)
    return cases


def _case(
    case: str, found: Mapping[str, str], *, strangers: Sequence[str], names: FileNames, unlabelled: bool
) -> CaseFiles:
    wanted = MODALITIES if unlabelled else (*MODALITIES, MASK)
    missing = [f"{kind} ({case}{names.endings[kind]}.nii.gz)" for kind in wanted if kind not in found]
    if missing:
        # A release may name one file by mistake, as BraTS 2020 does the mask of its case 355.
        other = f"; not understood beside it: {', '.join(strangers)}" if strangers else ""
        raise ValueError(f"expected all files of case {case}, got none for {', '.join(missing)}{other}")
    match = names.patient.fullmatch(case)
    if not match:
        raise ValueError(f"expected a case named {names.patient_rule}, got {found['FLAIR']}")
    image = tuple(found[modality] for modality in MODALITIES)
    return CaseFiles(case, match["patient"], image, MODALITIES, None if unlabelled else found[MASK])


def _check_strangers(strangers: Mapping[str, Sequence[str]], *, folders: set[str], names: FileNames) -> None:
    """Refuse a folder that looks like a case and gave none; mention other files beside a case."""
    for folder, unknown in strangers.items():
        if folder not in folders:
            expected = ", ".join(f"<case>{ending}.nii.gz" for ending in names.endings.values())
            raise ValueError(f"expected {expected} in folder {folder or '.'}, got {', '.join(unknown[:3])}")
        logger.warning("not used, since the name is no modality's: %s in %s", ", ".join(unknown), folder or ".")
