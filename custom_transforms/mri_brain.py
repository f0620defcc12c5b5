"""Where the brain is in skull-stripped MRI: wherever any modality is not background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)

GRID_MM = 3.0  # heuristics look at about this grid
LEAST_VOXELS = 2000  # of a brain on it, which has 40 000; below, chance decides, and heuristics say nothing
LEAST_BORDER = 0.5  # part of the border that one value must fill to be the background; of a stripped head it fills all


def foreground(volume: Volume) -> Mask:
    """Mark what is not background, `(X, Y, Z)`.

    Background is the value that most of the border voxels have. Where no value does, as in images with the skull on,
    nothing is background.
    """
    faces = [volume[side] for side in (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:], np.s_[:, :, :1])]
    border = np.concatenate([face.ravel() for face in [*faces, volume[:, :, -1:]]])
    values, counts = np.unique(border, return_counts=True)
    if counts.max() <= LEAST_BORDER * border.size:
        return np.ones(volume.shape, dtype=bool)
    return np.asarray(volume != values[counts.argmax()])


def brain_of(image: Volume | Sequence[Volume]) -> Mask:
    """Mark the brain `(X, Y, Z)` of modalities `(4, X, Y, Z)`, or one by one: what is not background in every one."""
    brain = np.zeros(image[0].shape, dtype=bool)
    for volume in image:
        brain |= foreground(volume)
    return brain


def filled_and_grown(brain: Mask, steps: int) -> Mask:
    """Close the holes of a brain `(X, Y, Z)`, and grow it by so many voxels along the axes."""
    filled = ndimage.binary_fill_holes(brain)
    return np.asarray(ndimage.binary_dilation(filled, iterations=steps) if steps else filled)


def thinned(volumes: NDArray[Number], affine: NDArray[np.float64]) -> NDArray[Number]:
    """Keep every n-th voxel of `(..., X, Y, Z)`, about `GRID_MM` apart: enough for what is judged as a whole."""
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    x, y, z = (max(1, round(GRID_MM / float(side))) for side in sides_mm)
    return volumes[..., x // 2 :: x, y // 2 :: y, z // 2 :: z]


def brightness_ranks(image: Volume) -> tuple[NDArray[np.float32], Mask]:
    """Rank the voxels of each modality by brightness, which no scale, offset or contrast curve changes.

    Args:
        image: `(4, X, Y, Z)`.

    Returns:
        ranks `(4, X, Y, Z)` from 0, darkest, to 1, brightest; and where they mean something: the brain without its
        outermost voxels, which are mixed with background.
    """
    from scipy.stats import rankdata  # takes half of the time in which a CT is checked; only MRI needs it

    inner = ndimage.binary_erosion(brain_of(image))
    ranks = np.zeros(image.shape, dtype=np.float32)
    for rank, volume in zip(ranks, image, strict=True):
        rank[inner] = rankdata(volume[inner]) / max(1, int(inner.sum()))
    return ranks, np.asarray(inner)
