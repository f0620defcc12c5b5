"""Files of an evaluation: a table of patients by row id, the key to the ids apart from it, and JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from custom_transforms.atomic_file import whole_file
from custom_transforms.evidence.evaluation_folder import METRICS, PATIENTS

Row = Mapping[str, Any]
KEY = "row_ids.csv"


def write_patients(folder: Path, rows: Sequence[Row], fold: str) -> list[dict[str, Any]]:
    """Write `patients.csv`, which can be given away, and `row_ids.csv`, which tells whose rows they are and stays.

    An earlier evaluation's `metrics.json` goes first and the new one comes last: broken off in between, a folder is no
    evaluation, and not the patients of one network with the threshold and weights of another.

    Args:
        folder: of the evaluation.
        rows: with `case`, in order; several may be of one case.
        fold: part of the data list that was measured.

    Returns:
        the rows with `row`, as `test-0001`, in place of `case`.
    """
    (folder / METRICS).unlink(missing_ok=True)
    cases = dict.fromkeys(row["case"] for row in rows)
    ids = {case: f"{fold}-{number:04d}" for number, case in enumerate(cases, start=1)}
    named = [{"row": ids[row["case"]], **{key: row[key] for key in row if key != "case"}} for row in rows]
    write_table(folder / PATIENTS, named)
    write_table(folder / KEY, [{"row": row, "case": case} for case, row in ids.items()])
    return named


def read_cases(folder: Path) -> dict[str, str]:
    """Read which case each row id of an evaluation is.

    Raises:
        OSError: no such file.
    """
    with (folder / KEY).open(newline="", encoding="utf-8") as file:
        return {row["row"]: row["case"] for row in csv.DictReader(file)}


def write_table(path: Path, rows: Sequence[Row], *, columns: Sequence[str] = ()) -> None:
    """Write rows as CSV, whole or not at all.

    Args:
        path: of the file.
        rows: at least one, unless columns are named.
        columns: those that come first, and are there without rows too.
    """
    columns = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    with whole_file(path) as file, file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all; NaN and infinity, which JSON does not have, become null."""
    with whole_file(path) as file:
        file.write_text(json.dumps(without_nan(content), indent=1) + "\n", encoding="utf-8")


def without_nan(value: Any) -> Any:
    """Copy plain values, with None in place of NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
