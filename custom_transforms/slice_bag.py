"""Turn the kept slices of a head CT into a bag of small square pictures for a slice classifier."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch.nn import functional


class SlicesToBagd(MapTransform):
    """Make `(S', 1, size, size)` of a volume: rows from front to back, columns from right to left of the patient.

    A field of view that is not square is padded with 0 first, so that no head is drawn long or wide.

    Args:
        keys: windowed volume `(1, X, Y, S)` from 0 to 1, X to the left, Y to the back.
        size: rows and columns of a picture; None keeps the pixels of the square field.

    Returns:
        the item with the bag, float32 plain tensor; `slice_index`, number of each picture's slice: those that came,
        else all; and `brain`, the mask that came, else all of the grid.
    """

    def __init__(self, keys: KeysCollection, size: int | None = 256) -> None:
        super().__init__(keys)
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {size}")
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item."""
        item = dict(data)
        for key in self.key_iterator(item):
            image: MetaTensor = item[key]
            slices = image.as_tensor()[0].permute(2, 1, 0)
            index = item.setdefault("slice_index", torch.arange(len(slices)))
            item.setdefault("brain", MetaTensor(torch.ones(image.shape, dtype=torch.uint8), meta=dict(image.meta)))
            column_mm, row_mm = torch.linalg.norm(image.affine[:3, :2], dim=0).tolist()
            item[key] = slices_to_bag(slices[index], spacing_mm=(row_mm, column_mm), size=self.size)
        return item


def slices_to_bag(slices: torch.Tensor, *, spacing_mm: tuple[float, float], size: int | None) -> torch.Tensor:
    """Pad `(S, R, C)` to a square field and resize bilinearly, smoothed where it shrinks, to `(S, 1, size, size)`."""
    rows, columns = slices.shape[1:]
    row_mm, column_mm = spacing_mm
    field_mm = max(rows * row_mm, columns * column_mm)
    more_rows, more_columns = round(field_mm / row_mm) - rows, round(field_mm / column_mm) - columns
    above, left = more_rows // 2, more_columns // 2
    field = functional.pad(slices.float(), (left, more_columns - left, above, more_rows - above))
    if size is None:
        return field[:, None].contiguous()
    small = functional.interpolate(field[None], (size, size), mode="bilinear", antialias=True, align_corners=False)
    return small[0][:, None].contiguous()
