"""Choose the best, median and worst case of a segmenter, and find their pictures without telling whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from custom_transforms.evidence.evidence_files import read_cases
from custom_transforms.evidence.wording import number
from custom_transforms.file_stem import file_stem

FOLDER = "overlays"


class CasePicture(NamedTuple):
    """A case by its row id, with the file of its picture, if there is one."""

    title: str
    caption: str
    words: str
    file: Path | None


def choose_cases(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Choose by mean Dice over regions; of an even number of patients the median is the lower one of the middle two.

    Args:
        rows: of `patients.csv`, with `row`, `region` and `dice`.

    Returns:
        row ids of `best`, `median` and `worst`; of two patients `best` and `worst`, of one the `best`.
    """
    mean_dice = mean_dice_of(rows)
    ascending = sorted(mean_dice, key=lambda row: (mean_dice[row], row))
    chosen = {"best": ascending[-1], "worst": ascending[0], "median": ascending[(len(ascending) - 1) // 2]}
    places = {row: place for place, row in reversed(chosen.items())}
    return {place: row for row, place in sorted(places.items(), key=lambda pair: -ascending.index(pair[0]))}


def mean_dice_of(rows: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Return the mean Dice over regions by row id; an empty cell does not count."""
    dice: dict[str, list[float]] = {}
    for row in rows:
        dice.setdefault(row["row"], []).append(float(row["dice"] or "nan"))
    means = {row: [value for value in values if np.isfinite(value)] for row, values in dice.items()}
    return {row: float(np.mean(values)) for row, values in means.items() if values}


def case_pictures(folder: Path, rows: Sequence[Mapping[str, str]]) -> list[CasePicture]:
    """Find the pictures that the evaluation has drawn of the chosen cases.

    Args:
        folder: of the evaluation, with `row_ids.csv` and `overlays`; a case without picture is told of in words.
        rows: of `patients.csv`.
    """
    try:
        cases = read_cases(folder)
    except (OSError, KeyError):  # the key stays at home, and the report can be written elsewhere
        cases = {}
    mean_dice, found = mean_dice_of(rows), []
    for place, row in choose_cases(rows).items():
        file = folder / FOLDER / f"{file_stem(cases[row])}.png" if row in cases else None
        by_region = [f"{part['region']} {number(float(part['dice'] or 'nan'))}" for part in rows if part["row"] == row]
        caption = f"Row {row}, mean Dice {number(mean_dice[row])}: {', '.join(by_region)}."
        drawn = file is not None and file.is_file()
        told = caption if drawn else f"{caption} No picture of it was drawn."
        words = f"Prediction and truth over FLAIR and T1ce of row {row}, mean Dice {number(mean_dice[row])}."
        found.append(CasePicture(f"{place.capitalize()} case", told, words, file if drawn else None))
    return found
