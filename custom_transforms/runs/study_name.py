"""The name that a study's results get, which gives nobody away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custom_transforms.identifying import holds_identity
from custom_transforms.mri_study import case_name

WITHHELD = "named by its row id: its own name holds an identifying tag"


def name_study(item: Mapping[str, Any], row_id: str) -> tuple[str, list[str]]:
    """Name a study: by the item's `case`, else by the stem of its folder or file.

    What stands in the study's path, as a stem does, may have been named after a person: where it equals or holds an
    identifying tag of the study, the row id takes its place.

    Returns:
        the name, and remarks for the ledger.
    """
    image = item["image"]
    path = Path(image if isinstance(image, (str, Path)) else image[0])
    name = case_name({**item, "image": path}).removesuffix(".dcm").removesuffix(".zip")
    if name in str(path) and holds_identity(name, path):
        return row_id, [WITHHELD]
    return name, []
