"""Suspect that a mask is not what its label convention says.

Rule: oedema lies around the core, so of its surface a larger part touches tissue without tumour, and it is brighter in
FLAIR and in T1ce than the necrotic core, which is the darkest of both. For each convention that has both tissues in the
mask, the difference oedema - necrotic core is taken of that part of the surface and of the mean rank of brightness in
FLAIR and T1ce; where their sum is below `-CLEARLY`, the two codes look exchanged, as between BraTS (1 necrotic core,
2 oedema) and the Medical Segmentation Decathlon (1 oedema, 2 necrotic core).

Rates of false and missed alarms: docs/checking.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from custom_transforms.mri_brain import brightness_ranks, thinned

Codes = Mapping[str, int]
Labels = NDArray[np.uint8]

CLEARLY = 0.2  # sum of three differences, each between -1 and 1
LEAST_VOXELS = 6  # of each tissue, thinned to 3 mm: a sixth of a ml


def suspect_labels(
    image: NDArray[np.float32], labels: Labels, affine: NDArray[np.float64], conventions: Mapping[str, Codes]
) -> tuple[str, ...]:
    """Judge a mask under each convention that it may have.

    Args:
        image: `(4, X, Y, Z)`, order FLAIR, T1, T1ce, T2.
        labels: codes `(X, Y, Z)`.
        affine: of both.
        conventions: name and codes of each convention that fits.

    Returns:
        warnings: an empty mask, or the conventions that the mask does not look like.
    """
    if not labels.any():
        return ("the mask is empty: no tumour at all",)
    thin = np.asarray(thinned(labels, affine), dtype=np.uint8)
    ranks, inner = brightness_ranks(thinned(image, affine))
    unlike = []
    for name, codes in conventions.items():
        oedema, core = codes["oedema"], codes["necrotic core"]
        if min(int(((thin == code) & inner).sum()) for code in (oedema, core)) < LEAST_VOXELS:
            continue
        brighter = [rank[(thin == oedema) & inner].mean() - rank[(thin == core) & inner].mean() for rank in ranks[::2]]
        around = _touching(thin, oedema) - _touching(thin, core)
        if around + float(sum(brighter)) < -CLEARLY:
            unlike.append(f"{name} (code {oedema} looks like necrotic core, code {core} like oedema)")
    return (f"the labels look like another convention than {', '.join(unlike)}",) if unlike else ()


def _touching(labels: Labels, code: int) -> float:
    """Part of the surface of a tissue, by faces of voxels, on which tissue without tumour lies."""
    free = total = 0
    for axis in range(3):
        along = np.moveaxis(labels, axis, 0)
        for near, far in ((along[:-1], along[1:]), (along[1:], along[:-1])):
            edge = (near == code) & (far != code)
            total += int(edge.sum())
            free += int((edge & (far == 0)).sum())
    return free / max(1, total)
