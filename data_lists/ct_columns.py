"""Columns of a table of patients that the data list is to carry, as age, sex or scanner."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from data_lists.data_list_file import DataList
from data_lists.split import FOLDS

Columns = Mapping[str, str | None]
GivesAway = Callable[[str, Path], bool]

OF_THE_LIST = {"case", "patient", "image", "label", "slices", "sha256", "refused", "modalities"}
# Names of columns that say who somebody is (after DICOM PS3.15, table E.1-1); of these letters alone count.
IDENTIFYING = {"id", "patientid", "subjectid", "caseid", "studyid", "seriesid", "mrn", "ssn", "dob", "insurance"}
PARTS = ("name", "birth", "address", "phone", "mail", "accession", "uid", "date")
FEW = 10  # below, different texts for all patients may be chance


def read_columns(table: Path, columns: Sequence[str], *, patient: str) -> dict[str, Columns]:
    """Read columns of a table, as texts.

    Args:
        table: csv in UTF-8, of which the columns for patient and label were read before.
        columns: names of the columns.
        patient: name of the column with the patient's id.

    Returns:
        each patient's texts by column; None where there is nothing.

    Raises:
        ValueError: A column is not there, has a name that the data list uses or that says who somebody is, differs
            between rows of one patient, or is a text that differs between all patients.
    """
    for name in columns:
        _check_name(name)
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    found: dict[str, Columns] = {}
    for row in rows:
        if missing := [name for name in columns if name not in row]:
            raise ValueError(f"{table.name}: expected the column {missing[0]}, got only {', '.join(map(str, row))}")
        texts = {name: (row[name] or "").strip() or None for name in columns}
        if found.setdefault(row[patient].strip(), texts) != texts:
            raise ValueError(
                f"{table.name}: expected the same {', '.join(columns)} in all rows of a patient, got others"
            )
    for name in columns:
        _check_shared(name, [texts[name] for texts in found.values()])
    return found


def check_columns(data_list: DataList, dataset_dir: Path, gives_away: GivesAway) -> None:
    """Refuse columns whose texts stand in identifying tags of the images.

    Args:
        data_list: list with `columns`, if it carries any.
        dataset_dir: folder that its paths are relative to.
        gives_away: told a text and the path of an image, says whether the one is in the tags of the other.

    Raises:
        ValueError: A text is in the tags.
    """
    for name in data_list.get("columns", []):
        for item in (item for fold in FOLDS for item in data_list.get(fold, [])):
            text, image = item.get(name), item["image"]
            if isinstance(text, str) and isinstance(image, str) and gives_away(text, dataset_dir / image):
                raise ValueError(f"expected a column that does not tell who somebody is, got {name}: it is in the tags")


def _check_name(name: str) -> None:
    letters = re.sub(r"[\W_\d]+", "", name.casefold())
    if letters in IDENTIFYING or any(part in letters for part in PARTS):
        raise ValueError(f"expected columns that do not tell who somebody is, got {name}")
    if name.casefold() in OF_THE_LIST:
        raise ValueError(f"expected columns with names that the data list does not use, got {name}")


def _check_shared(name: str, texts: Sequence[str | None]) -> None:
    """Refuse a text that tells each patient from all others; numbers, as a volume, may."""
    known = [text for text in texts if text is not None]
    if len(known) >= FEW and len(set(known)) == len(known) and not all(_is_number(text) for text in known):
        raise ValueError(f"expected a column that patients share, got {name}, which differs between all of them")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
