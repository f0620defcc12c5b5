"""Drop the slices of a head CT that cannot be judged, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError

HEAD_HU = -500  # half-way between air and soft tissue: tells the head from the air where no brain mask is at hand
METAL_HU = 2500  # above enamel and the densest bone, below clips and coils, which saturate at 3071 in 12 bits
SOFT_HU = (-50, 100)  # brain, CSF and blood with their noise; so bone, fat and metal do not count as contrast


@dataclass(frozen=True)
class SliceLimits:
    """What a usable slice keeps to.

    The spread is the standard deviation of the region's soft tissue: 8 to 17 HU on usual scans, from grey and white
    matter, CSF and noise. It cannot exceed 43 HU, that of even noise over the whole range of soft tissue.

    Attributes:
        min_area_cm2: least area of the brain.
        min_spread_hu: below this there is no contrast, as in a blank slice.
        max_spread_hu: above this streaks, of motion or metal, or noise hide the brain. A heuristic, without a source.
        max_metal_share: greatest part of the region above `METAL_HU`; 0.002 of 100 cm2 is an aneurysm clip, 4 x 5 mm.
    """

    min_area_cm2: float = 10.0
    min_spread_hu: float = 1.5
    max_spread_hu: float = 30.0
    max_metal_share: float = 0.002


def judge_slices(
    hu: NDArray[np.float32], region: NDArray[np.bool_], *, pixel_cm2: float, limits: SliceLimits
) -> dict[int, str]:
    """Say which slices to drop and why; asymmetry is no reason, since it may be the lesion.

    Args:
        hu: volume `(S, R, C)`.
        region: what is judged, `(S, R, C)`: the brain with all that it encloses.
        pixel_cm2: area of a pixel in cm2.
        limits: what a usable slice keeps to.

    Returns:
        from slice number, 0 at the feet, to the reason; slices that stay are missing.
    """
    reasons = {}
    for number, (plane, inside) in enumerate(zip(hu, region, strict=True)):
        reason = _reason(plane[inside], pixel_cm2, limits)
        if reason:
            reasons[number] = reason
    return reasons


def _reason(pixels_hu: NDArray[np.float32], pixel_cm2: float, limits: SliceLimits) -> str:
    """Return the first reason against a slice whose region holds these pixels, or an empty text."""
    area_cm2 = len(pixels_hu) * pixel_cm2
    if area_cm2 < limits.min_area_cm2 or not len(pixels_hu):
        return f"too little brain: {area_cm2:.1f} cm2, at least {limits.min_area_cm2:g}"
    metal_share = float(np.mean(pixels_hu > METAL_HU))
    if metal_share > limits.max_metal_share:
        return f"metal: {metal_share:.2%} above {METAL_HU} HU, at most {limits.max_metal_share:.2%}"
    soft_hu = pixels_hu[(pixels_hu >= SOFT_HU[0]) & (pixels_hu <= SOFT_HU[1])]
    spread_hu = float(soft_hu.std()) if len(soft_hu) else 0.0
    if spread_hu < limits.min_spread_hu:
        return f"no contrast: spread {spread_hu:.1f} HU, at least {limits.min_spread_hu:g}"
    if spread_hu > limits.max_spread_hu:
        return f"motion or noise: spread {spread_hu:.1f} HU, at most {limits.max_spread_hu:g}"
    return ""


class KeepGoodSlices(Transform):
    """Say which slices of a head CT go on, and why the others do not.

    Args:
        limits: what a usable slice keeps to.

    Example:
        >>> kept, dropped = KeepGoodSlices(SliceLimits(min_area_cm2=20))(image, mask)
    """

    def __init__(self, limits: SliceLimits | None = None) -> None:
        self.limits = limits or SliceLimits()

    def __call__(
        self, image: MetaTensor, brain: torch.Tensor | None = None, *, case: str = "image"
    ) -> tuple[list[int], dict[int, str]]:
        """Judge every slice.

        Args:
            image: `(1, X, Y, S)` in HU, slices last.
            brain: mask `(1, X, Y, S)`, 0 or 1; without one the whole head is judged.
            case: what a refusal names.

        Returns:
            numbers of the slices that go on, and from the number of each of the others to the reason.

        Raises:
            RefusedError: `no_usable_slice`, none is left.
        """
        hu = image.as_tensor()[0].permute(2, 1, 0).cpu().numpy()
        region = hu > HEAD_HU if brain is None else torch.as_tensor(brain)[0].permute(2, 1, 0).cpu().numpy() > 0
        column_mm, row_mm = torch.linalg.norm(image.affine[:3, :2], dim=0).tolist()
        dropped = judge_slices(hu, region, pixel_cm2=column_mm * row_mm / 100, limits=self.limits)
        kept = [number for number in range(len(hu)) if number not in dropped]
        if not kept:
            got = f"none of {len(hu)}: {next(iter(dropped.values()))}"
            raise RefusedError.of("no_usable_slice", case, expected="a usable slice", got=got)
        return kept, dropped


class KeepGoodSlicesd(MapTransform):
    """Write which slices go on, and why the others do not; the image stays whole on its grid.

    Without a mask, because the brain step is switched off, the whole head is judged.

    Args:
        keys: CT volume `(1, X, Y, S)` in HU.
        mask_key: brain mask `(1, X, Y, S)`; its holes filled, so that metal within the brain counts.
        min_area_cm2: see `SliceLimits`, as for the next three.
        min_spread_hu: see there.
        max_spread_hu: see there.
        max_metal_share: see there.

    Returns:
        the item with `slice_index`, numbers of the kept slices `(S',)` int64, and `dropped`, a JSON object from slice
        number to reason.

    Raises:
        RefusedError: `no_usable_slice`, none is left.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str = "brain",
        min_area_cm2: float = SliceLimits.min_area_cm2,
        min_spread_hu: float = SliceLimits.min_spread_hu,
        max_spread_hu: float = SliceLimits.max_spread_hu,
        max_metal_share: float = SliceLimits.max_metal_share,
    ) -> None:
        super().__init__(keys)
        self.mask_key = mask_key
        self.keep = KeepGoodSlices(SliceLimits(min_area_cm2, min_spread_hu, max_spread_hu, max_metal_share))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item."""
        item = dict(data)
        for key in self.key_iterator(item):
            kept, dropped = self.keep(item[key], item.get(self.mask_key), case=str(item.get("case", key)))
            item["slice_index"] = torch.tensor(kept, dtype=torch.int64)
            item["dropped"] = json.dumps(dropped)
        return item
