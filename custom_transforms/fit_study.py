"""A study that passed every check, as the network will get it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FitStudy:
    """What `check_study` gives for a study that is fit.

    Args:
        data: float32 with axes to the right, the front and the head (RAS): CT `(X, Y, Z)` in Hounsfield units, BraTS
            `(4, X, Y, Z)` in the order FLAIR, T1, T1ce, T2.
        affine: from voxel index to RAS mm, `(4, 4)`.
        warnings: what only a heuristic can see and a person should look at, one sentence each.
        notes: what was left out or mended, or what a person should know.
    """

    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
