"""Show the brain in a window of Hounsfield units, told from the background to the last pixel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

DARKEST_BRAIN = 1e-6  # brain at or below the window is not exactly 0, so that later steps tell it from background


class WindowBrain(Transform):
    """Bring a window of HU to 0..1: exactly 0 outside the brain, above 0 in it.

    MONAI's `ScaleIntensityRange` makes cerebrospinal fluid at the window's lower end and background the same 0;
    z-scoring what is not 0 would then leave holes in the ventricles.

    Args:
        centre_hu: middle of the window.
        width_hu: width of the window, above 0.

    Raises:
        ValueError: the width is not above 0.

    Example:
        >>> shown = WindowBrain(centre_hu=40, width_hu=80)(image, mask)
    """

    def __init__(self, *, centre_hu: float = 40, width_hu: float = 80) -> None:
        if not width_hu > 0:
            raise ValueError(f"window: expected a width above 0 HU, got {width_hu}")
        self.low_hu = centre_hu - width_hu / 2
        self.width_hu = width_hu

    def __call__(self, image: MetaTensor, brain: torch.Tensor | None = None) -> MetaTensor:
        """Return a new image `(1, X, Y, S)` in 0..1.

        Args:
            image: `(1, X, Y, S)` in HU.
            brain: mask `(1, X, Y, S)`, 0 or 1; without one all is shown.
        """
        hu = image.as_tensor()
        shown = _empty(hu.shape, hu.device)
        masks = [None] * hu.shape[-1] if brain is None else convert_to_tensor(brain, track_meta=False).unbind(-1)
        for plane, out, mask in zip(hu.unbind(-1), shown.unbind(-1), masks, strict=True):  # in the processor's cache
            torch.sub(plane, self.low_hu, out=out).div_(self.width_hu).clamp_(DARKEST_BRAIN, 1)
            if mask is not None:
                out.mul_(mask)
        return MetaTensor(shown, meta=dict(image.meta), applied_operations=list(image.applied_operations))


def _empty(shape: torch.Size, device: torch.device) -> torch.Tensor:
    """Make room for a volume `(1, X, Y, S)`, slice by slice; numpy asks for large pages, which come faster."""
    room = np.empty((*shape[:0:-1], 1), dtype=np.float32)
    return torch.from_numpy(room).permute(3, 2, 1, 0).to(device)


class WindowBraind(MapTransform):
    """Bring a window of HU to 0..1: exactly 0 outside the brain, above 0 in it; see `WindowBrain`.

    Args:
        keys: CT volumes `(1, X, Y, S)` in HU.
        centre_hu, width_hu: see `WindowBrain`.
        mask_key: brain mask `(1, X, Y, S)`; without one, because the brain step is switched off, all is shown.

    Raises:
        ValueError: the width is not above 0.
    """

    def __init__(
        self, keys: KeysCollection, *, centre_hu: float = 40, width_hu: float = 80, mask_key: str = "brain"
    ) -> None:
        super().__init__(keys)
        self.window = WindowBrain(centre_hu=centre_hu, width_hu=width_hu)
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.window(item[key], item.get(self.mask_key))
        return item
