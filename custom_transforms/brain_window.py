"""Show the brain in a window of Hounsfield units, told from the background to the last pixel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

DARKEST_BRAIN = 1e-6  # brain at or below the window is not exactly 0, so that later steps tell it from background


class WindowBraind(MapTransform):
    """Bring a window of HU to 0..1: exactly 0 outside the brain, above 0 in it.

    MONAI's `ScaleIntensityRanged` makes cerebrospinal fluid at the window's lower end and background the same 0;
    z-scoring what is not 0 would then leave holes in the ventricles.

    Args:
        keys: CT volumes `(1, X, Y, S)` in HU.
        centre_hu: middle of the window.
        width_hu: width of the window, above 0.
        mask_key: brain mask `(1, X, Y, S)`; without one, because the brain step is switched off, all is shown.

    Raises:
        ValueError: the width is not above 0.
    """

    def __init__(
        self, keys: KeysCollection, *, centre_hu: float = 40, width_hu: float = 80, mask_key: str = "brain"
    ) -> None:
        super().__init__(keys)
        if not width_hu > 0:
            raise ValueError(f"window: expected a width above 0 HU, got {width_hu}")
        self.low_hu = centre_hu - width_hu / 2
        self.width_hu = width_hu
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item."""
        item = dict(data)
        for key in self.key_iterator(item):
            image: MetaTensor = item[key]
            shown = image.as_tensor().sub(self.low_hu).div_(self.width_hu).clamp_(DARKEST_BRAIN, 1)
            if self.mask_key in item:
                shown.mul_(item[self.mask_key].as_tensor())
            item[key] = MetaTensor(shown, meta=dict(image.meta), applied_operations=list(image.applied_operations))
        return item
