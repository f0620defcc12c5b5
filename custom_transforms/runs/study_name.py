"""The name that a study's results get, which gives nobody away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custom_transforms.identifying import holds_identity
from custom_transforms.mri_study import case_name
from custom_transforms.runs.folder_lock import Shard
from custom_transforms.runs.summary import SUMMARY, TABLE

WITHHELD = "named by its row id: its own name holds an identifying tag"
RESERVED = "named by its row id: its own name is that of a file which every run writes"
RUN_FILES = {Path(name).stem for name in (Shard().ledger, SUMMARY, TABLE)}


def name_study(item: Mapping[str, Any], row_id: str) -> tuple[str, list[str]]:
    """Name a study: by the item's `case`, else by the stem of its folder or file.

    What stands in the study's path, as a stem does, may have been named after a person: where it equals or holds an
    identifying tag of the study, the row id takes its place; also where a file of the run itself would be overwritten.

    Returns:
        the name, and remarks for the ledger.
    """
    image, name = item["image"], case_name(item)
    files = [Path(file) for file in ([image] if isinstance(image, (str, Path)) else image)]
    if name in str(files[0]) and any(holds_identity(name, file) for file in files):
        return row_id, [WITHHELD]
    if name.lower() in RUN_FILES:  # some file systems do not tell cases apart
        return row_id, [RESERVED]
    return name, []
