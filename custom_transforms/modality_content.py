"""What four modalities must be by their voxels: 3D, finite, with contrast, and not copies of one another."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from custom_transforms.mri_brain import brain_of
from custom_transforms.refusal import RefusedError

MOST_ALIKE = 0.999  # correlation in the brain: copies stored in 8 bits have 0.9999, T1 and T1ce of patients 0.88


def check_content(by_name: Mapping[str, NDArray[np.float32]], files: Mapping[str, str]) -> None:
    """Refuse modalities without meaning.

    Args:
        by_name: volume of each modality, all of one shape.
        files: where each came from, for messages.

    Raises:
        RefusedError: `not_a_volume`, `not_finite`, `constant_image`, or `repeated_modality`: a copy, also one that was
            scaled, shifted, inverted or stored in fewer bits.
    """
    for modality, volume in by_name.items():
        name = files[modality]
        if volume.ndim != 3:
            raise RefusedError.of("not_a_volume", name, expected=f"3 axes in {modality}", got=str(volume.shape))
        if not np.isfinite(volume).all():
            raise RefusedError.of("not_finite", name, expected=f"finite {modality}", got="NaN or infinity")
        if volume.min() == volume.max():
            raise RefusedError.of("constant_image", name, expected=f"{modality} with contrast", got="a single value")
    brain = brain_of(list(by_name.values()))
    inside = {modality: volume[brain].astype(np.float64) for modality, volume in by_name.items()}
    for modality, values in inside.items():
        if values.min() == values.max():
            expected = f"{modality} with contrast in the brain"
            raise RefusedError.of("constant_image", files[modality], expected=expected, got="a single value")
        values -= values.mean()
        values /= np.linalg.norm(values)
    for (first, values), (second, others) in combinations(inside.items(), 2):
        if abs(float(values @ others)) > MOST_ALIKE:
            expected = f"{second} to differ from {first}"
            raise RefusedError.of("repeated_modality", files[second], expected=expected, got="a copy of it")
