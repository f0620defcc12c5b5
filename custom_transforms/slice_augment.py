"""Crop, flip, rotate, shift, scale and bend slices at random, all in one resampling."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import convert_to_tensor, ensure_tuple_rep

from custom_transforms.move_ranges import AffineRange, ElasticRange
from custom_transforms.slice_move import SliceMove, control_points, sample


class RandSliceMove(Randomizable, Transform):
    """Crop or pad to one size, flip, rotate, shift, scale and bend, with one interpolation at most.

    One step for each would interpolate again and again, and blur each time. What is turned in from beyond the crop is
    the slice itself, and from beyond the slice 0, as z-scored background is.

    Args:
        size: rows and columns of the result; smaller slices are padded with 0, larger ones cropped anywhere; None
            keeps the size.
        flip_prob: probability, 0..1, that rows are turned round, patient's left to right in `RAS`.
        affine: how far slices are rotated, shifted and scaled.
        elastic: how far they are bent.

    Raises:
        ValueError: `flip_prob` outside 0..1, or a size that is not two sides of at least a pixel.

    Example:
        >>> moved = RandSliceMove((240, 240))(image)
    """

    def __init__(
        self,
        size: Sequence[int] | None = None,
        *,
        flip_prob: float = 0.5,
        affine: AffineRange | None = None,
        elastic: ElasticRange | None = None,
    ) -> None:
        if not 0 <= flip_prob <= 1 or (size is not None and (len(size) != 2 or min(size) < 1)):
            raise ValueError(f"slice move: expected flip_prob in 0..1 and two sides, got {flip_prob} and {size}")
        self.size = size
        self.flip_prob = flip_prob
        self.affine = affine or AffineRange()
        self.elastic = elastic or ElasticRange()

    def randomize(self, data: Sequence[int]) -> None:
        """Draw the move of a slice of so many rows and columns: as many numbers whatever comes of them."""
        source = data[0], data[1]
        size = (self.size[0], self.size[1]) if self.size else source
        first, second = map(_start, size, source, self.R.random_sample(2))
        flips, turns, bends = self.R.random_sample(3) < (self.flip_prob, self.affine.prob, self.elastic.prob)
        angle, down, right, taller, wider = (self.R.uniform(-1, 1, 5) * turns).tolist()
        points = control_points(size, self.elastic.spacing_pixels)
        magnitude = self.R.uniform(*self.elastic.magnitude_pixels)
        offsets = (magnitude * self.R.standard_normal((2, *points))).astype(np.float32)
        self.move_to(
            SliceMove(
                start=(first, second),
                flip=bool(flips),
                rotate_degrees=angle * self.affine.rotate_degrees,
                shift_pixels=(down * self.affine.shift_pixels, right * self.affine.shift_pixels),
                scale=(1 + taller * self.affine.scale, 1 + wider * self.affine.scale),
                offsets=torch.from_numpy(offsets) if bends else None,
                spacing_pixels=self.elastic.spacing_pixels,
            ),
            size=size,
            source_size=source,
        )

    def move_to(self, move: SliceMove, *, size: tuple[int, int], source_size: tuple[int, int]) -> None:
        """Take this move rather than a drawn one."""
        self.move, self._size, self._source_size = move, size, source_size
        self._grid = move.grid(size, source_size)

    def __call__(self, image: torch.Tensor, mode: str = "bilinear", *, randomize: bool = True) -> torch.Tensor:
        """Return the moved slice `(C, *size)`, a new plain tensor of the image's type.

        Args:
            image: slice `(C, X, Y)`.
            mode: `bilinear`, or `nearest` for labels.
            randomize: False moves as the last time.

        Raises:
            ValueError: a slice of another size is to be moved as the last one.
        """
        image = convert_to_tensor(image, track_meta=False)
        if randomize:
            self.randomize(image.shape[1:])
        if image.shape[1:] != self._source_size:
            raise ValueError(f"slice move: expected slices of {self._source_size} pixels, got {tuple(image.shape[1:])}")
        return self.move.cut(image, self._size) if self._grid is None else sample(image[None], self._grid, mode)[0]


class RandSliceMoved(Randomizable, MapTransform):
    """Move the slices of an item together; see `RandSliceMove`.

    Args:
        keys: slices `(C, X, Y)` of one size.
        size: rows and columns of the result.
        mode: `bilinear` or `nearest`, one for all keys or one for each.
        flip_prob: probability of the flip.
        affine: how far slices are rotated, shifted and scaled.
        elastic: how far they are bent.

    Returns:
        the item with new slices, plain tensors of their types.

    Raises:
        ValueError: the slices differ in size, or a setting is out of range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        size: Sequence[int] | None = None,
        mode: str | Sequence[str] = ("bilinear", "nearest"),
        flip_prob: float = 0.5,
        affine: AffineRange | None = None,
        elastic: ElasticRange | None = None,
    ) -> None:
        super().__init__(keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.mover = RandSliceMove(size, flip_prob=flip_prob, affine=affine, elastic=elastic)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandSliceMoved:
        """Seed the move; MONAI seeds only the outermost of nested transforms."""
        super().set_random_state(seed, state)
        self.mover.set_random_state(state=self.R)
        return self

    def randomize(self, data: Sequence[int]) -> None:
        """Draw the move of slices of so many rows and columns."""
        self.mover.randomize(data)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Move each key with one draw."""
        item = dict(data)
        self.randomize(item[self.keys[0]].shape[1:])
        for key, mode in zip(self.keys, self.mode, strict=True):
            item[key] = self.mover(item[key], mode, randomize=False)
        return item


def _start(side: int, source_side: int, place: float) -> int:
    """Choose where a result begins in a slice: anywhere that it fits, else so that padding is alike on both sides."""
    spare = source_side - side
    return int(place * (spare + 1)) if spare >= 0 else -(-spare // 2)
