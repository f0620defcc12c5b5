"""A heuristic: does a head stand on its head?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from custom_transforms.plausible_head import GRID_MM

HEAD_HU, AIR_HU = -300.0, -200.0  # skin and hair against air; air that shares a voxel with bone or mucosa
CLOSING_MM, RIM_MM = 4.0, 10.0  # nostrils and ears are closed; what lies nearer to the skin is outside, or hair
LEAST_AIR_ML = 5.0  # the sinuses and mastoid cells of an adult hold 20 to 60
MORE_ABOVE = 3.0  # times as much air above the middle as below


def looks_upside_down(hu: NDArray[np.float32], pixel_mm: float, positions_mm: NDArray[np.float64]) -> bool:
    """Tell whether the air inside a head lies above its middle: sinuses, nose and mastoid cells lie in its base.

    The middle is half way between the lowest and the highest slice with tissue. After an operation or injury there may
    be air under the vault, too: then this is wrong, which is why it only warns.

    Args:
        hu: `(S, R, C)`, slices from the feet to the head, as the file says.
        pixel_mm: of rows and columns.
        positions_mm: of the slices, ascending, `(S,)`.
    """
    stride = max(1, round(GRID_MM / pixel_mm))
    coarse, size_mm = hu[:, ::stride, ::stride], stride * pixel_mm
    cross = ndimage.generate_binary_structure(2, 1)[None]
    reach, rim = (max(1, round(length / size_mm)) for length in (CLOSING_MM, RIM_MM))
    tissue = ndimage.binary_closing(coarse > HEAD_HU, cross, iterations=reach)
    head = ndimage.binary_fill_holes(tissue, np.pad(cross, ((1, 1), (0, 0), (0, 0))))
    inside = ndimage.binary_erosion(head, cross, iterations=rim) & (coarse < AIR_HU)
    air_ml = inside.sum(axis=(1, 2)) * size_mm**2 * np.gradient(positions_mm) / 1000
    with_tissue = positions_mm[tissue.any(axis=(1, 2))]
    above = positions_mm > (with_tissue.min() + with_tissue.max()) / 2
    below_ml, above_ml = float(air_ml[~above].sum()), float(air_ml[above].sum())
    return above_ml > LEAST_AIR_ML and above_ml > MORE_ABOVE * below_ml
