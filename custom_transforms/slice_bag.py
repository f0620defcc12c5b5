"""Turn the kept slices of a head CT into a bag of small square pictures for a slice classifier."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from torch.nn import functional


class SlicesToBag(Transform):
    """Make pictures of slices: rows from front to back, columns from right to left of the patient.

    A field of view that is not square is padded with 0 first, so that no head is drawn long or wide.

    Args:
        size: rows and columns of a picture; None keeps the pixels of the square field.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> bag = SlicesToBag(size=256)(shown, kept)
    """

    def __init__(self, size: int | None = 256) -> None:
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {size}")
        self.size = size

    def __call__(self, image: MetaTensor, slices: Sequence[int] | torch.Tensor | None = None) -> torch.Tensor:
        """Return the bag `(S', 1, size, size)`, float32, a plain tensor.

        Args:
            image: windowed `(1, X, Y, S)` from 0 to 1, X to the left, Y to the back (`LPS`).
            slices: numbers of the S' slices that go in; by default all.
        """
        planes = image.as_tensor()[0].permute(2, 1, 0)
        wanted = range(len(planes)) if slices is None else torch.as_tensor(slices).tolist()
        column_mm, row_mm = torch.linalg.norm(image.affine[:3, :2], dim=0).tolist()
        pictures = [_picture(planes[number], (row_mm, column_mm), self.size) for number in wanted]
        return torch.stack(pictures)[:, None]


class SlicesToBagd(MapTransform):
    """Turn a volume into its bag of slices; see `SlicesToBag`.

    Args:
        keys: windowed volume `(1, X, Y, S)` from 0 to 1, X to the left, Y to the back.
        size: rows and columns of a picture; None keeps the pixels of the square field.

    Returns:
        the item with the bag `(S', 1, size, size)`, float32 plain tensor; `slice_index`, number of each picture's
        slice: those that came, else all; and `brain`, the mask that came, else all of the grid.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, keys: KeysCollection, size: int | None = 256) -> None:
        super().__init__(keys)
        self.to_bag = SlicesToBag(size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item."""
        item = dict(data)
        for key in self.key_iterator(item):
            image: MetaTensor = item[key]
            index = item.setdefault("slice_index", torch.arange(image.shape[-1]))
            item.setdefault("brain", MetaTensor(torch.ones(image.shape, dtype=torch.uint8), meta=dict(image.meta)))
            item[key] = self.to_bag(image, index)
        return item


def _picture(plane: torch.Tensor, spacing_mm: tuple[float, float], size: int | None) -> torch.Tensor:
    """Pad a slice `(R, C)` to a square field and resize bilinearly, smoothed where it shrinks, to `(size, size)`."""
    rows, columns = plane.shape
    row_mm, column_mm = spacing_mm
    field_mm = max(rows * row_mm, columns * column_mm)
    more_rows, more_columns = round(field_mm / row_mm) - rows, round(field_mm / column_mm) - columns
    field = plane.float()
    if more_rows or more_columns:
        above, left = more_rows // 2, more_columns // 2
        field = functional.pad(field, (left, more_columns - left, above, more_rows - above))
    if size is None:
        return field
    small = functional.interpolate(field[None, None], (size, size), mode="bilinear", antialias=True)
    return small[0, 0]
