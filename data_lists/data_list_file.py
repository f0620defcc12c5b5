"""The form of a MONAI decathlon data list, and its file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from data_lists.split import FOLDS, check_no_leak


class CaseItem(TypedDict, total=False):
    """One case of a list; `label` only if labelled: the file of a mask, or the class of a patient.

    A case of CT also has a text or None under each name in the list's `columns`.

    For MRI, `modalities` is the order of the files or channels of `image`, the hashes in `sha256["image"]` are always
    those of FLAIR, T1, T1ce, T2, `slices` is there only for h5 slices, and the convention of the labels and
    `tumour_ml` only with a mask. `refused` says of files that are no case why, in the parts of a reason.
    """

    case: str
    patient: str
    image: str | list[str]
    modalities: list[str]
    slices: int
    label: str | int
    label_convention: dict[str, int]
    tumour_ml: float
    sha256: dict[str, str | list[str]]
    refused: dict[str, str]


class DataList(TypedDict, total=False):
    """A data list; `labels` and `label_convention` only if labelled, `columns` only if cases carry some of a table."""

    name: str
    description: str
    licence: str
    tensorImageSize: str
    modality: dict[str, str]
    labels: dict[str, str]
    label_convention: str
    columns: list[str]
    seed: int
    numTraining: int
    numValidation: int
    numTest: int
    training: list[CaseItem]
    validation: list[CaseItem]
    test: list[CaseItem]


def write_data_list(data_list: DataList, path: Path) -> None:
    """Write a data list under its final name only once it is complete.

    Args:
        data_list: list to write.
        path: file to write or replace.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If a patient is in two folds.
    """
    check_no_leak({fold: [item["patient"] for item in data_list.get(fold, [])] for fold in FOLDS})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(format_json_lines(data_list))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def format_json_lines(content: Mapping[str, object]) -> str:
    """Format JSON with one key a line and, in lists of the folds, one item a line, so that differences read well."""
    lines = []
    for key, value in content.items():
        if key in FOLDS and isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(_to_json(item) for item in value) + "\n ]"
        else:
            text = _to_json(value)
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
