"""Choose the slices that show a tumour best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def choose_slices(tumour: NDArray[np.bool_], *, count: int = 4) -> list[int]:
    """Choose slices with most tumour, well apart; around the middle where there is no tumour.

    Args:
        tumour: `(X, Y, S)`, True in tumour.
        count: how many; a volume with fewer slices gives them all.

    Returns:
        slice indices, lowest first.
    """
    area = tumour.sum(axis=(0, 1)).astype(np.float64)
    extent = int(np.count_nonzero(area)) or len(area)
    apart = max(1, extent // (2 * max(count - 1, 1)))  # leaves room for all within the tumour's extent
    centre = int(area.argmax()) if area.any() else len(area) // 2
    score = area + 1 / (2 + np.abs(np.arange(len(area)) - centre))  # below one pixel: only settles ties
    chosen: list[int] = []
    while len(chosen) < min(count, len(area)):
        best = int(score.argmax())
        chosen.append(best)
        score[max(0, best - apart + 1) : best + apart] = -1
    return sorted(chosen)
