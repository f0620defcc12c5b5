"""Read one fold of a data list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def load_fold(path: str | Path, fold: str, base_dir: str | Path) -> list[dict[str, Any]]:
    """Read the items of one fold; an absent or damaged file, or an absent fold, gives no items.

    Tools that only look at a bundle build its data sets without having data, so absence is refused later, by
    `custom_transforms.require_data`, when an engine starts. `monai.data.load_decathlon_datalist` does not do here:
    it turns a case's name into a path where a folder of that name exists.

    Args:
        path: data list in the format of the Medical Segmentation Decathlon.
        fold: `training`, `validation` or `test`.
        base_dir: folder that the paths in the list are relative to.

    Returns:
        items with full paths under `image` (one, or a list) and, if there is a mask, `label`; a number under `label`
        is a class and stays.
    """
    path, base_dir = Path(path), Path(base_dir)
    if not path.is_file():
        return []
    try:
        items: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")).get(fold, [])
    except ValueError:
        return []
    return [
        {**item, **{key: _full(item[key], base_dir) for key in ("image", "label") if _is_path(item.get(key))}}
        for item in items
    ]


def _is_path(value: object) -> bool:
    return isinstance(value, (str, list))


def _full(files: str | list[str], base_dir: Path) -> str | list[str]:
    return [str(base_dir / file) for file in files] if isinstance(files, list) else str(base_dir / files)
