"""What the data list says of each patient beside image and label, as age or scanner, for sub-groups."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from custom_transforms.data_list import load_fold
from custom_transforms.mri_study import case_name
from custom_transforms.refusal import RefusedError

IDENTIFYING = {"case", "patient", "image", "sha256"}  # of a table that can be given away
TAKEN = {
    "row",
    "label",
    "prob",
    "decision",
    "calibrated_prob",
    "spread",
    "outside",
}  # columns with a meaning of their own
Value = str | float | None


def case_columns(data_list: str | Path, fold: str, columns: Collection[str]) -> dict[str, dict[str, Value]]:
    """Read columns of a fold's cases from the data list.

    Args:
        data_list: file whose items have the columns as keys.
        fold: part of it.
        columns: names of the keys; of a case without one the value is None.

    Returns:
        name of each case to its columns.

    Raises:
        RefusedError: a column that no case has, that would say who the patient is, that has the name of a column of
            `patients.csv`, or that holds anything but texts and numbers.
    """
    items = load_fold(data_list, fold, "")
    for name in columns:
        _check(name, [item[name] for item in items if name in item], Path(data_list).name)
    return {case_name(item): {name: item.get(name) for name in columns} for item in items}


def _check(name: str, values: list[object], file: str) -> None:
    expected = f"a column {name} of the cases (scripts/build_data_lists.py --columns {name})"
    if name in IDENTIFYING:
        raise RefusedError.of("identifying_column", file, expected="a column that many patients share", got=name)
    if name in TAKEN:
        raise RefusedError.of("taken_column", file, expected=f"a name other than {', '.join(sorted(TAKEN))}", got=name)
    if not values:
        raise RefusedError.of("missing_column", file, expected=expected, got="none")
    if not all(value is None or isinstance(value, (str, int, float)) for value in values):
        raise RefusedError.of("bad_column", file, expected=f"texts or numbers in {name}", got="something else")
