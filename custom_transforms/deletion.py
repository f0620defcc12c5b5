"""Take away what a map of a slice ranks highest, and see what becomes of the slice's probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from custom_transforms.patient_result import spread_over_slice
from custom_transforms.refusal import RefusedError

Mask = NDArray[np.bool_]
Order = NDArray[np.int64]
Slice = NDArray[np.floating[Any]]
Curve = NDArray[np.float64]

FILLS = ("mean", "blur")
BLUR_SHARE = 0.05  # of the slice's side: wider than most metastases, narrower than a lobe


def spread(coarse: Slice, shape: tuple[int, int]) -> Slice:
    """Interpolate a map `(h, w)` at a slice's pixels `(H, W)`, as inference does for the region it writes."""
    grid = torch.as_tensor(np.ascontiguousarray(coarse), dtype=torch.float64)[None]  # float32 ends at a logit of 17
    fine: Slice = spread_over_slice(grid, shape, [1.0, 1.0])[0].numpy()
    return fine


def rank_pixels(fine: Slice, brain: Mask, random: np.random.Generator, *, grain: int) -> Order:
    """Order the brain's pixels from the map's highest value to its lowest.

    Where values are equal, as in the parts that Grad-CAM sets to 0, whole patches follow each other at random: rows
    from the top would be a choice of place, and single pixels a finer one than the map's.

    Args:
        fine: map at the slice's pixels, `(H, W)`.
        brain: `(H, W)`, True in the brain.
        random: draws the patches.
        grain: positions of the map along a side of the slice, from which patches have their size.

    Returns:
        positions in the flattened slice, `(n,)`, one for each of the brain's n pixels.
    """
    patches = spread(random.random((grain, grain)), (brain.shape[0], brain.shape[1]))
    pixels = np.flatnonzero(brain)
    return pixels[np.lexsort((-patches.ravel()[pixels], -fine.ravel()[pixels]))]


def moved_map(fine: Slice, brain: Mask, random: np.random.Generator) -> Slice:
    """Turn a map over and shift it around within the box of the brain, by chance: a map that knows nothing.

    It keeps the size, shape and number of the map's patches; single pixels deleted at random would be another kind of
    damage, and no fair comparison.

    Args:
        fine: map at the slice's pixels, `(H, W)`.
        brain: `(H, W)`, True somewhere.
        random: draws sides and shifts.

    Returns:
        a new map `(H, W)`; what is shifted out of the box comes in at its other side.
    """
    rows, columns = (np.flatnonzero(brain.any(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    part = fine[box]
    part = np.flip(part, axis=tuple(axis for axis in (0, 1) if random.random() < 0.5))
    moved = fine.copy()
    moved[box] = np.roll(part, (random.integers(part.shape[0]), random.integers(part.shape[1])), axis=(0, 1))
    return moved


def filling(image: Slice, brain: Mask, fill: str) -> Slice:
    """Return what takes the place of deleted pixels, `(H, W)`.

    Args:
        image: z-scored slice `(H, W)`, 0 outside the brain.
        brain: `(H, W)`, True in the brain.
        fill: `mean`, the brain's mean, 0 in a z-scored slice; `blur`, the brain's own neighbourhood, smoothed by a
            Gaussian over 5 % of the slice's side, so that no edge appears, but large lesions leave a trace.
    """
    inside = brain.astype(np.float32)
    if fill == "mean":
        return np.full(image.shape, image[brain].mean(), dtype=np.float32)
    sigma = BLUR_SHARE * image.shape[0]
    weights = np.maximum(gaussian_filter(inside, sigma), 1e-6)  # without the background, which is no tissue
    blurred: Slice = gaussian_filter(np.asarray(image, dtype=np.float32) * inside, sigma) / weights
    return blurred


def deleted_slices(image: Slice, order: Order, fill: Slice, percent: Sequence[float]) -> Slice:
    """Replace the first of `order`'s pixels, so many percent of them.

    Args:
        image: slice `(H, W)`.
        order: see `rank_pixels`.
        fill: what takes their place, `(H, W)`.
        percent: 0..100, `(F,)`.

    Returns:
        `(F, H, W)`; of 0 % the slice itself.
    """
    slices = np.repeat(np.asarray(image, dtype=np.float32).reshape(1, -1), len(percent), axis=0)
    for row, share in zip(slices, percent, strict=True):
        pixels = order[: round(len(order) * share / 100)]
        row[pixels] = fill.ravel()[pixels]
    return slices.reshape(len(percent), *image.shape)


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """Delete what a map ranks highest in a slice, step by step, and as much at random.

    A map that shows what the network's answer rests on makes the probability fall faster than chance does.

    Args:
        percent: of the brain's pixels that are deleted, 0..100, ascending, two at least.
        draws: random maps for each map, 1 at least; see `moved_map`.
        fill: what takes the place of deleted pixels; see `filling`.
        seed: of the draws.

    Raises:
        RefusedError: a setting is out of range.

    Reference:
        Petsiuk et al., RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018, section 4.2.
    """

    percent: Sequence[float] = (0, 1, 2, 5, 10, 20, 40, 100)
    draws: int = 10
    fill: str = "mean"
    seed: int = 88

    def __post_init__(self) -> None:
        """Check the settings."""
        steps = list(self.percent)
        if len(steps) < 2 or steps != sorted(set(steps)) or not (steps[0] >= 0 and steps[-1] <= 100):
            expected = "two or more percentages, 0 to 100, ascending"
            raise RefusedError.of("wrong_setting", "deleted_percent", expected=expected, got=str(self.percent))
        if self.draws < 1:
            raise RefusedError.of("wrong_setting", "random_draws", expected="at least 1", got=str(self.draws))
        if self.fill not in FILLS:
            raise RefusedError.of("wrong_setting", "deletion_fill", expected=" or ".join(FILLS), got=str(self.fill))

    def __call__(self, image: Slice, coarse: Slice, prob_of: Callable[[Slice], Slice]) -> tuple[Curve, Curve]:
        """Return probabilities `(F,)` along the map, and along the random maps `(draws, F)`.

        Args:
            image: z-scored slice `(H, W)`, exactly 0 outside the brain.
            coarse: map `(h, w)` over the slice.
            prob_of: gives the probabilities `(N,)` of slices `(N, H, W)`.
        """
        random, brain = np.random.default_rng(self.seed), image != 0
        fine, filled = spread(coarse, (image.shape[0], image.shape[1])), filling(image, brain, self.fill)
        maps = [fine, *(moved_map(fine, brain, random) for _ in range(self.draws))]
        orders = [rank_pixels(each, brain, random, grain=max(coarse.shape)) for each in maps]
        curves = [prob_of(deleted_slices(image, order, filled, self.percent)) for order in orders]
        return np.asarray(curves[0], np.float64), np.stack(curves[1:]).astype(np.float64)
