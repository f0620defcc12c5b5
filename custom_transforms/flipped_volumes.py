"""Suspect that a volume was flipped without its header saying so.

Rule 1, one modality against the others: all modalities of a patient show the same brain. If the outline of one overlaps
with that of the others better (Dice, by `CLEARLY`) once it is mirrored, it was probably flipped. Outlines are those of
skull-stripped images; where nothing is background, nothing can be said.

Rule 2, all modalities together: the lowest part of a brain (stem, cerebellum, temporal poles) is narrower than the
highest, and lies behind it. If it is wider, feet and head look exchanged; if the remaining order of front and back is
the wrong one, these do. A brain that the ends of the volume cut is not judged.

Rule 3, the mask against the image: tumour and oedema are bright in FLAIR and T2. If the mirrored mask lies on tissue
that is brighter by `BRIGHTER` (mean rank in the brain) than the mask does, it was probably flipped.

Left and right of a whole patient cannot be told apart by looking, and no rule tries. Rates of false and missed alarms:
docs/checking.md.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from custom_transforms.mri_brain import LEAST_VOXELS, brightness_ranks, foreground, thinned
from custom_transforms.mri_study import MODALITIES

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
Affine = NDArray[np.float64]

SIDES = ("left and right", "front and back", "feet and head")
MIRRORS = tuple(axes for count in (1, 2, 3) for axes in combinations(range(3), count))
CLEARLY = 0.01  # of Dice
BRIGHTER = 0.1  # of rank, 0 darkest to 1 brightest of the brain
END = 0.15  # part of the brain's height
WHOLE = 0.2  # of the largest area: what the first or last slice may have of a brain that is not cut
DOUBT = 0.02  # of the largest area, and of the brain's length: smaller differences say nothing


def suspect_flips(image: Volume, affine: Affine) -> tuple[str, ...]:
    """Judge an image `(4, X, Y, Z)` in RAS: rules 1 and 2."""
    outlines = [foreground(volume) for volume in thinned(image, affine)]
    brain = np.logical_or.reduce(outlines)
    if brain.sum() < LEAST_VOXELS:
        return ()
    found = []
    for number, name in enumerate(MODALITIES):
        others = np.logical_or.reduce([outline for other, outline in enumerate(outlines) if other != number])
        overlap = {axes: _dice(np.flip(outlines[number], axes), others) for axes in ((), *MIRRORS)}
        best = max(overlap, key=lambda axes: (overlap[axes], -len(axes)))
        if overlap[best] > overlap[()] + CLEARLY:
            found.append(f"{name} may be flipped against the other modalities: {_sides(best)}")
    turned = () if found else flipped_sides(brain)
    return tuple(found) or ((f"all modalities may be flipped: {_sides(turned)}",) if turned else ())


def suspect_mask_flip(image: Volume, mask: NDArray[np.uint8], affine: Affine) -> tuple[str, ...]:
    """Judge a mask `(X, Y, Z)` on its image `(4, X, Y, Z)`, both in RAS: rule 3."""
    tumour = np.asarray(thinned(mask, affine) > 0)
    ranks, inner = brightness_ranks(thinned(image, affine))
    if inner.sum() < LEAST_VOXELS or not (tumour & inner).any():
        return ()
    bright = (ranks[0] + np.minimum(ranks[0], ranks[3])) / 2
    means = {axes: _mean(bright, np.flip(tumour, axes), inner) for axes in ((), *MIRRORS)}
    best = max(means, key=lambda axes: (means[axes], -len(axes)))
    if means[best] > means[()] + BRIGHTER:
        return (f"the mask may be flipped against the images: {_sides(best)}",)
    return ()


def flipped_sides(brain: Mask) -> tuple[int, ...]:
    """Axes along which a brain `(X, Y, Z)` in RAS looks flipped, by rule 2."""
    slices = np.flatnonzero(brain.any(axis=(0, 1)))
    rows = np.flatnonzero(brain.any(axis=(0, 2)))
    inside = brain[:, :, slices[0] : slices[-1] + 1]
    area = inside.sum(axis=(0, 1)) / inside.sum(axis=(0, 1)).max()
    if max(area[0], area[-1]) > WHOLE:
        return ()
    count = max(1, int(END * area.size))
    row_sums = inside.sum(axis=0) * np.arange(brain.shape[1])[:, None]
    middle = row_sums.sum(axis=0) / np.maximum(inside.sum(axis=(0, 1)), 1) / max(1, int(np.ptp(rows)))
    narrower = float(area[-count:].mean() - area[:count].mean())
    behind = float(middle[-count:].mean() - middle[:count].mean())
    feet_and_head = narrower < -DOUBT
    if feet_and_head:
        behind = -behind
    return ((1,) if behind < -DOUBT else ()) + ((2,) if feet_and_head else ())


def _mean(bright: Volume, mask: Mask, inner: Mask) -> float:
    """Mean brightness of a mask in the brain; 0 where less than half of it is in the brain."""
    inside = mask & inner
    return float(bright[inside].mean()) if 2 * inside.sum() >= mask.sum() else 0.0


def _dice(first: Mask, second: Mask) -> float:
    return float(2 * (first & second).sum() / max(1, first.sum() + second.sum()))


def _sides(axes: tuple[int, ...]) -> str:
    return ", ".join(SIDES[axis] for axis in axes)
