"""Choose the best, median and worst case of a segmenter, and find their pictures without telling whose they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from custom_transforms.evidence.evidence_files import read_cases
from custom_transforms.evidence.wording import number
from custom_transforms.file_stem import file_stem

FOLDER = "overlays"
Rows = Sequence[Mapping[str, str]]


class CasePicture(NamedTuple):
    """A case by its row id, with the file of its picture, if there is one."""

    title: str
    caption: str
    words: str
    file: Path | None


def choose_cases(mean_dice: Mapping[str, float], drawn: Collection[str] = ()) -> dict[str, str]:
    """Choose the best, the worst, and the one nearest to the median; of equal ones the first.

    Args:
        mean_dice: of each patient by row id, at least one.
        drawn: patients of whom there is a picture; the median case is one of them, if any are left.

    Returns:
        row ids of `best`, `median` and `worst`; fewer of fewer than three patients.
    """
    rows = sorted(mean_dice)
    chosen = {"best": max(rows, key=lambda row: mean_dice[row]), "worst": min(rows, key=lambda row: mean_dice[row])}
    if chosen["best"] == chosen["worst"]:  # one patient, or all alike
        return {"best": chosen["best"]}
    left = [row for row in rows if row not in chosen.values()]
    left = [row for row in left if row in drawn] or left
    if left:
        middle = float(np.median(list(mean_dice.values())))
        chosen["median"] = min(left, key=lambda row: abs(mean_dice[row] - middle))
    return {place: chosen[place] for place in ("best", "median", "worst") if place in chosen}


def mean_dice_of(rows: Rows) -> dict[str, float]:
    """Return the mean Dice over regions by row id; an empty cell does not count."""
    dice: dict[str, list[float]] = {}
    for row in rows:
        if row["dice"]:
            dice.setdefault(row["row"], []).append(float(row["dice"]))
    return {row: float(np.mean(values)) for row, values in dice.items()}


def case_pictures(folder: Path, rows: Rows) -> list[CasePicture]:
    """Find the pictures that the evaluation has drawn of the chosen cases.

    Args:
        folder: of the evaluation, with `row_ids.csv` and `overlays`; a case without picture is told of in words.
        rows: of `patients.csv`.
    """
    files, mean_dice = _pictures(folder), mean_dice_of(rows)
    if not mean_dice:
        return []
    found, middle = [], number(float(np.median(list(mean_dice.values()))))
    for place, row in choose_cases(mean_dice, files).items():
        by_region = [f"{part['region']} {number(float(part['dice'] or 'nan'))}" for part in rows if part["row"] == row]
        told = f"Row {row}, mean Dice {number(mean_dice[row])} ({', '.join(by_region)})"
        told += f"; the median is {middle}." if place == "median" else "."
        words = f"Prediction as colour and truth as lines over FLAIR and T1ce. {told}"
        caption = told if row in files else f"{told} No picture of it was drawn."
        found.append(CasePicture(f"{place.capitalize()} case", caption, words, files.get(row)))
    return found


def _pictures(folder: Path) -> dict[str, Path]:
    """Find the picture of each row id that has one; none where the key to the ids has stayed at home."""
    try:
        cases = read_cases(folder)
    except (OSError, KeyError):
        return {}
    files = {row: folder / FOLDER / f"{file_stem(case)}.png" for row, case in cases.items()}
    return {row: file for row, file in files.items() if file.is_file()}
