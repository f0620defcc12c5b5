"""Take the names of persons out of a data list's cases."""

from __future__ import annotations

import logging
from pathlib import Path

from data_lists.ct_columns import GivesAway, check_columns
from data_lists.data_list_file import DataList
from data_lists.split import FOLDS

logger = logging.getLogger(__name__)


def hide_names(data_list: DataList, dataset_dir: Path, gives_away: GivesAway) -> DataList:
    """Number the patients whose names, those of their folders or files, give away who they are.

    Everything that is written of a case later on carries its `case`. The paths in the list stay as they are. The
    columns that the list carries must not hold such names.

    Args:
        data_list: changed in place: `case` and `patient` become `patient_0007` and the like, counted in order of names.
        dataset_dir: folder that its paths are relative to.
        gives_away: told a name and the path of an image, says whether the one is in the tags of the other.

    Returns:
        The same list.

    Raises:
        ValueError: A column holds what identifies; see `check_columns`.
    """
    check_columns(data_list, dataset_dir, gives_away)
    items = [item for fold in FOLDS for item in data_list.get(fold, [])]
    numbers = {name: number for number, name in enumerate(sorted({item["patient"] for item in items}), start=1)}
    renamed: dict[str, int] = {}
    for item in items:
        images = [item["image"]] if isinstance(item["image"], str) else item["image"]
        if any(gives_away(item[key], dataset_dir / image) for key in ("case", "patient") for image in images):
            neutral = f"patient_{numbers[item['patient']]:04d}"
            visit = renamed[neutral] = renamed.get(neutral, 0) + 1
            item["case"], item["patient"] = (neutral if visit == 1 else f"{neutral}_{visit}"), neutral
    if renamed:
        logger.warning("%d cases are numbered, since their names hold identifying tags", sum(renamed.values()))
    return data_list
