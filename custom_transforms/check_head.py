"""Refuse, before the network, what is no head CT."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray

from custom_transforms.mri_study import case_name
from custom_transforms.plausible_head import LIMITS, HeadLimits, Range, check_head


class CheckHeadd(MapTransform):
    """Refuse what is no head CT: another region, other units, too few slices, an impossible spacing.

    The mark of a head is a shell of bone, closed in the plane of the slice, around tissue of the density of brain.

    Args:
        keys: images `(1, X, Y, S)` in HU, slices last.
        pixel_mm, step_mm, brain_hu, volume_ml, height_mm: see `HeadLimits`, where their reasons stand.

    Returns:
        the item unchanged, in a new dict.

    Raises:
        RefusedError: `implausible_hu`, `implausible_spacing`, `not_a_head`, `too_little_head`, each with what came.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        pixel_mm: Range = LIMITS.pixel_mm,
        step_mm: Range = LIMITS.step_mm,
        brain_hu: Range = LIMITS.brain_hu,
        volume_ml: Range = LIMITS.volume_ml,
        height_mm: float = LIMITS.height_mm,
    ) -> None:
        super().__init__(keys)
        self.limits = HeadLimits(pixel_mm, step_mm, brain_hu, volume_ml, height_mm)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Judge each key."""
        item = dict(data)
        for key in self.key_iterator(item):
            image: MetaTensor = item[key]
            name = case_name({"image": "image", **item} if "case" in item else {"image": str(key)})
            hu = image.as_tensor()[0].permute(2, 1, 0).cpu().numpy()
            pixel_mm = torch.linalg.vector_norm(image.affine[:3, :2].double(), dim=0).flip(0).numpy()
            check_head(hu, pixel_mm, slice_positions(image), self.limits, name)
        return item


def slice_positions(image: MetaTensor) -> NDArray[np.float64]:
    """Positions of the slices along their normal in mm, `(S,)`: as acquired where known, else evenly by the affine."""
    if "slice_positions_mm" in image.meta:
        return np.asarray(image.meta["slice_positions_mm"], dtype=np.float64)
    axes = image.affine[:3, :3].double().cpu().numpy()
    normal = np.cross(axes[:, 0], axes[:, 1])
    return np.asarray(np.arange(image.shape[-1]) * abs(axes[:, 2] @ normal) / np.linalg.norm(normal))
