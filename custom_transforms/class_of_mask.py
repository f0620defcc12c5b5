"""A patient's class from a mask, as programs for drawing write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from custom_transforms.nifti import read_nifti
from custom_transforms.refusal import RefusedError


def with_classes(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put the class in the place of each label that is a mask's file; other labels stay as they are.

    Args:
        items: `label` may be a path of a NIfTI mask, drawn on the scan or empty.

    Returns:
        the items with `label` 1 where any voxel of the mask is above 0, else 0.

    Raises:
        RefusedError: a mask that cannot be read, or holds NaN or infinity.
    """
    return [
        {**item, "label": class_of_mask(item["label"])} if isinstance(item.get("label"), (str, Path)) else dict(item)
        for item in items
    ]


def class_of_mask(path: str | Path) -> int:
    """Give 1 where any voxel of a mask is above 0, else 0; see `with_classes`."""
    voxels, _ = read_nifti(path)
    if not np.isfinite(voxels).all():
        raise RefusedError.of("not_finite", Path(path).name, expected="a mask of numbers", got="NaN or infinity")
    return int((voxels > 0).any())
