"""Operations on one slice where OpenCV is not installed; `planes_opencv` says what each does, and does it faster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.uint8]  # (R, C), 0 or 1
Image = NDArray[np.float32]  # (R, C)
LEVELS = 256  # of uint8


def fill_holes(mask: Mask) -> Mask:
    """Set what cannot be reached from outside the slice."""
    return np.asarray(ndimage.binary_fill_holes(mask), dtype=np.uint8)


def label_pieces(mask: Mask) -> NDArray[np.integer[Any]]:
    """Number the pieces from 1."""
    labels, _ = ndimage.label(mask)
    return np.asarray(labels)


def majority(mask: Mask) -> Mask:
    """Take the median of 3x3 pixels."""
    wide = np.pad(mask, 1, mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] > 4, dtype=np.uint8)


def correlate(image: Image, kernel: NDArray[np.floating]) -> Image:
    """Weigh each pixel's neighbours."""
    return np.asarray(ndimage.correlate(image, kernel, mode="constant"), dtype=np.float32)


def equalise_tiles(levels: NDArray[np.uint8], clip: float, tiles: tuple[int, int]) -> NDArray[np.uint8]:
    """Spread the grey levels of each tile as OpenCV's CLAHE does, to one level in 255."""
    tables, tile = _tables(levels, clip, tiles)
    left, right, rightward = _neighbours(levels.shape[1], tile[1], tiles[1])
    upper, lower, downward = (part[:, None] for part in _neighbours(levels.shape[0], tile[0], tiles[0]))
    above = tables[upper, left, levels] * (1 - rightward) + tables[upper, right, levels] * rightward
    below = tables[lower, left, levels] * (1 - rightward) + tables[lower, right, levels] * rightward
    return np.asarray(np.rint(above * (1 - downward) + below * downward), dtype=np.uint8)


def _tables(
    levels: NDArray[np.uint8], clip: float, tiles: tuple[int, int]
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Map the levels of each tile to new ones, `(*tiles, LEVELS)`; and give the rows and columns of a tile."""
    sizes = list(zip(levels.shape, tiles, strict=True))
    even = not any(size % count for size, count in sizes)
    missing = [0 if even else count - size % count for size, count in sizes]  # as OpenCV: also where one side is even
    wide = np.pad(levels, [(0, missing[0]), (0, missing[1])], mode="reflect")
    height, width = wide.shape[0] // tiles[0], wide.shape[1] // tiles[1]
    blocks = wide.reshape(tiles[0], height, tiles[1], width).swapaxes(1, 2).reshape(*tiles, -1)
    return np.apply_along_axis(_grey_table, -1, blocks, clip), (height, width)


def _grey_table(tile: NDArray[np.uint8], clip: float) -> NDArray[np.float32]:
    """Map the levels of one tile, `(pixels,)`, to new ones, `(LEVELS,)`: its histogram, clipped and summed up."""
    histogram = np.bincount(tile, minlength=LEVELS)
    limit = max(int(clip * tile.size / LEVELS), 1)
    share, rest = divmod(int((histogram - limit).clip(0).sum()), LEVELS)
    histogram = histogram.clip(max=limit) + share
    if rest:
        histogram[:: max(LEVELS // rest, 1)][:rest] += 1
    table = np.rint(np.cumsum(histogram) * np.float32((LEVELS - 1) / tile.size))
    return np.asarray(table.clip(0, LEVELS - 1), dtype=np.float32)


def _neighbours(size: int, tile: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Give the tiles whose middles lie before and after each pixel, and how far it is from the first to the second."""
    place = np.arange(size, dtype=np.float32) * np.float32(1 / tile) - np.float32(0.5)
    first = np.floor(place).astype(np.intp)
    return first.clip(0, count - 1), (first + 1).clip(0, count - 1), (place - first).astype(np.float32)
