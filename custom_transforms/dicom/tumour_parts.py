"""The parts of a tumour that a BraTS mask marks, as segments of a DICOM segmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_transforms.dicom.coded_terms import ENHANCING, NECROSIS, OEDEMA
from custom_transforms.dicom.segmentation import Segment
from custom_transforms.refusal import RefusedError

# Codes of BraTS 2018 to 2021, which call enhancing tumour 4, and of 2023, which calls it 3. The NCI Imaging Data
# Commons uses the same coded terms for tumours of the brain.
PARTS = {
    1: Segment("necrotic core", NECROSIS),
    2: Segment("oedema", OEDEMA),
    3: Segment("enhancing tumour", ENHANCING),
    4: Segment("enhancing tumour", ENHANCING),
}
INTEGER_TOLERANCE = 0.01  # as of masks that are read for training


def tumour_segments(mask: NDArray[np.floating[Any]], name: str) -> tuple[NDArray[np.uint8], list[Segment]]:
    """Number the parts that a mask marks; a part that it does not hold may not have been looked for, and is left out.

    Args:
        mask: codes `(X, Y, Z)`.
        name: of the mask, for messages.

    Returns:
        `(X, Y, Z)`, 0 or the number of a segment from 1, and the segments.

    Raises:
        RefusedError: `fractional_label`; `unknown_label`, another code than 0 to 4, or 3 beside 4, which stand for
            different things in BraTS 2024; `empty_mask`, nothing to write.
    """
    whole = np.rint(mask)
    if not np.isfinite(mask).all() or np.abs(mask - whole).max() > INTEGER_TOLERANCE:
        raise RefusedError.of("fractional_label", name, expected="whole numbers", got="fractions")
    codes = [int(code) for code in np.unique(whole) if code]
    if set(codes) - set(PARTS) or {3, 4} <= set(codes):
        raise RefusedError.of("unknown_label", name, expected="0, 1, 2, and 3 or 4", got=str(codes[:5]))
    if not codes:
        raise RefusedError.of("empty_mask", name, expected="voxels of a tumour", got="none")
    labels = np.zeros(mask.shape, np.uint8)
    for number, code in enumerate(codes, start=1):
        labels[whole == code] = number
    return labels, [PARTS[code] for code in codes]
