"""Change brightness, contrast and noise of z-scored slices at random, in one step."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import MAX_SEED, convert_to_tensor


@dataclass(frozen=True)
class Strength:
    """How often and how much something is changed.

    Args:
        prob: probability, 0..1.
        most: greatest strength.

    Raises:
        ValueError: a setting is out of range.
    """

    prob: float
    most: float

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0 <= self.prob <= 1 or self.most < 0:
            raise ValueError(f"strength: expected prob in 0..1 and most of at least 0, got {self}")


class RandIntensityd(Randomizable, MapTransform):
    """Add a number to a whole image, multiply the sum, and add noise: each only where chance says so.

    Torch draws the noise, from a seed of this step: numpy's legacy generator takes five times as long.

    Args:
        keys: z-scored images of any shape, float32.
        brightness: of the number added, either way, in standard deviations of the brain.
        contrast: of the factor's distance from 1, either way.
        noise: of the noise's standard deviation, which is between 0 and the greatest.

    Returns:
        the item with new images, plain tensors; an image that is not changed is passed on.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        brightness: Strength | None = None,
        contrast: Strength | None = None,
        noise: Strength | None = None,
    ) -> None:
        super().__init__(keys)
        self.brightness = brightness or Strength(prob=0.3, most=0.2)
        self.contrast = contrast or Strength(prob=0.3, most=0.2)
        self.noise = noise or Strength(prob=0.2, most=0.1)

    def randomize(self, data: Any = None) -> None:
        """Draw what is added, by what is multiplied, and the noise's strength and seed; 0, 1 and 0 change nothing."""
        parts = self.brightness, self.contrast, self.noise
        coins, places = self.R.random_sample((2, len(parts))).tolist()
        added, factor, deviation = (
            part.most * place if coin < part.prob else None
            for part, coin, place in zip(parts, coins, places, strict=True)
        )
        self.added = 0.0 if added is None else 2 * added - self.brightness.most
        self.factor = 1.0 if factor is None else 1 + 2 * factor - self.contrast.most
        self.deviation = deviation or 0.0
        self.seed = int(self.R.randint(MAX_SEED))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Change each key with one draw."""
        item = dict(data)
        self.randomize()
        for key in self.keys if (self.added, self.factor, self.deviation) != (0, 1, 0) else ():
            item[key] = self._changed(convert_to_tensor(item[key], track_meta=False))
        return item

    def _changed(self, image: torch.Tensor) -> torch.Tensor:
        if not self.deviation:
            return torch.add(image, self.added).mul_(self.factor)
        generator = torch.Generator(image.device).manual_seed(self.seed)
        changed = torch.empty_like(image).normal_(self.added * self.factor, self.deviation, generator=generator)
        return changed.add_(image, alpha=self.factor)
