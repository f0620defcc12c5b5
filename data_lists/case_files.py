"""What is known of a case, and of a data set, from file names alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MODALITIES = ("FLAIR", "T1", "T1ce", "T2")

LABEL_CONVENTIONS: Mapping[str, Mapping[str, int]] = {
    "brats2018": {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4},
    "brats2023": {"necrotic core": 1, "oedema": 2, "enhancing tumour": 3},
    "brats2024": {"necrotic core": 1, "oedema": 2, "enhancing tumour": 3, "resection cavity": 4},
    "msd": {"oedema": 1, "necrotic core": 2, "enhancing tumour": 3},
}
"""Code of each tissue in the masks of a release; two releases give the same number to different tissue."""


@dataclass(frozen=True)
class CaseFiles:
    """Files of one case, as POSIX paths relative to the data-set folder.

    Attributes:
        case: name of the case.
        patient: id of the patient; cases of several time points share it.
        image: one file per modality, or one 4D file, or one `*` pattern of slices.
        modalities: names of the channels in the order of `image`.
        label: mask, or None if the case is unlabelled.
        slices: how many files the pattern stands for, numbered from 0; None where there is no pattern.
    """

    case: str
    patient: str
    image: tuple[str, ...]
    modalities: tuple[str, ...]
    label: str | None
    slices: int | None = None


@dataclass(frozen=True)
class DataSet:
    """Cases of one data set.

    Attributes:
        root: data-set folder.
        layout: name of the layout that its files follow.
        name: name of the data set.
        licence: terms as far as the files state them.
        label_convention: name of the convention of its masks.
        label_codes: code of each tissue in its masks.
        cases: all cases, sorted by name.
    """

    root: Path
    layout: str
    name: str
    licence: str
    label_convention: str
    label_codes: Mapping[str, int]
    cases: tuple[CaseFiles, ...]


def check_modalities(names: Sequence[str]) -> tuple[str, ...]:
    """Refuse an order of channels that is not the four modalities, each once.

    Args:
        names: modality of each channel, in order.

    Returns:
        The same names.

    Raises:
        ValueError: If a name is unknown, missing or given twice.
    """
    if sorted(names) != sorted(MODALITIES):
        raise ValueError(f"expected each of {', '.join(MODALITIES)} once, got {', '.join(names) or 'none'}")
    return tuple(names)
