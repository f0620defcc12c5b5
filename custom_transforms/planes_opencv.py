"""Operations on one slice that OpenCV does fastest; `planes_scipy` does the same without it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]  # (R, C), 0 or 1
Image = NDArray[np.float32]  # (R, C)


def fill_holes(mask: Mask) -> Mask:
    """Set what cannot be reached from outside the slice by steps between neighbours that share an edge."""
    wide = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(wide, None, (0, 0), 2)
    return np.asarray(wide[1:-1, 1:-1] != 2, dtype=np.uint8)


def label_pieces(mask: Mask) -> NDArray[np.integer[Any]]:
    """Number the pieces of neighbours that share an edge from 1, in any order; 0 is unset."""
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    return np.asarray(labels)


def majority(mask: Mask) -> Mask:
    """Take the median of 3x3 pixels; the slice's border is repeated outside."""
    return np.asarray(cv2.medianBlur(mask, 3), dtype=np.uint8)


def correlate(image: Image, kernel: NDArray[np.floating]) -> Image:
    """Weigh each pixel's neighbours, 0 outside the slice."""
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_CONSTANT), dtype=np.float32)


def equalise_tiles(levels: NDArray[np.uint8], clip: float, tiles: tuple[int, int]) -> NDArray[np.uint8]:
    """Spread the grey levels of each of `tiles` rows and columns of tiles, up to a limit of contrast (CLAHE)."""
    # Made here: OpenCV's object cannot be pickled for a data loader's worker.
    clahe = cv2.createCLAHE(clipLimit=clip, tileGridSize=tiles[::-1])
    return np.asarray(clahe.apply(levels), dtype=np.uint8)
