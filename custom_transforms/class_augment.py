"""Random filters chosen by the patient's class, and random geometry that is the same for both."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import radians
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandAffine, Randomizable
from monai.utils import convert_to_dst_type
from numpy.typing import NDArray

from custom_transforms.slice_filters import MildFilters, StrongFilters

FILTERS = 3  # the most that a recipe has
ROUNDING = 1e-5  # by which resizing may pass 1


@dataclass(frozen=True)
class _Draw:
    """What chance gives a bag: numbers in 0..1, as many whatever the label is."""

    recipe: float
    gamma: float
    filters: tuple[float, ...]


class RandFiltersByClassd(Randomizable, MapTransform):
    """Filter a bag mildly where the patient has metastases, strongly where not.

    A lesion's texture must stay as it is; slices without one are made harder. A filter that only one class gets can
    tell the classes apart by itself: `class_conditional=False` is the control.

    One draw serves all slices of a bag, so that a patient stays consistent. Each filter of a recipe is applied with
    the recipe's probability, independently of the others. Background, exactly 0 before, is exactly 0 after every
    filter, and brain stays above 0.

    Args:
        keys: bags `(S, 1, H, W)` float32 in 0..1, background 0; before z-scoring.
        positive: filters where the label is 1.
        negative: filters where it is 0.
        label_key: the patient's label, 0 or 1; not looked at unless `class_conditional`.
        class_conditional: False draws one of the two recipes for each bag, both as likely, whatever its label.

    Returns:
        the item with new bags of the same shape, type and range.

    Raises:
        ValueError: the label is absent or neither 0 nor 1, or a bag leaves 0..1.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        positive: MildFilters | None = None,
        negative: StrongFilters | None = None,
        label_key: str = "label",
        class_conditional: bool = True,
    ) -> None:
        super().__init__(keys)
        self.positive = positive or MildFilters()
        self.negative = negative or StrongFilters()
        self.label_key = label_key
        self.class_conditional = class_conditional

    def randomize(self, data: Any = None) -> None:
        """Draw the recipe, gamma's place in its range, and whether each filter is applied."""
        recipe, gamma, *filters = self.R.random_sample(2 + FILTERS)
        self._draw = _Draw(recipe, gamma, tuple(filters))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Filter each key with one draw."""
        item = dict(data)
        self.randomize()
        recipe = self.positive if self._gets_positive(item) else self.negative
        for key in self.keys:
            bag = torch.as_tensor(item[key]).detach().cpu().numpy()
            if not (bag.min() >= 0 and bag.max() <= 1 + ROUNDING):
                raise ValueError(f"{key}: expected values in 0..1, got {bag.min():.3g} to {bag.max():.3g}")
            item[key] = convert_to_dst_type(self._filtered(bag, recipe), dst=item[key])[0]
        return item

    def _gets_positive(self, item: Mapping[Hashable, Any]) -> bool:
        if not self.class_conditional:
            return self._draw.recipe < 0.5
        label = np.asarray(item.get(self.label_key))
        if label.size != 1 or label.item() not in (0, 1):
            raise ValueError(f"{self.label_key}: expected 0 or 1, got {item.get(self.label_key)}")
        return bool(label.item())

    def _filtered(self, bag: NDArray[np.float32], recipe: MildFilters | StrongFilters) -> NDArray[np.float32]:
        coins = zip(recipe.filters(self._draw.gamma), self._draw.filters, strict=False)  # a recipe may have fewer
        filters = [step for step, coin in coins if coin < recipe.prob]
        filtered = bag.copy()
        for image in filtered[:, 0]:
            inside = image > 0
            for step in filters:
                image[:] = step(image, inside)
        return filtered


class RandBagAffined(Randomizable, MapTransform):
    """Rotate and shift all slices of a bag alike, in one bilinear resampling.

    It never sees the label: else interpolation itself would tell the class. Place it after the filters, so that they
    meet the brain's edge unblurred.

    Args:
        keys: bags `(S, 1, H, W)`, background 0. All keys move together.
        prob: probability that a bag is moved.
        rotate_degrees: greatest rotation, either way, about the image's centre.
        translate_pixels: greatest shift along rows and columns, either way.

    Returns:
        the item with new float32 bags of the same shape; what comes from outside the image is 0.
    """

    def __init__(
        self, keys: KeysCollection, *, prob: float = 0.5, rotate_degrees: float = 5.0, translate_pixels: float = 3.0
    ) -> None:
        super().__init__(keys)
        self.affine = RandAffine(
            prob=prob,
            rotate_range=radians(rotate_degrees),
            translate_range=(translate_pixels, translate_pixels),
            padding_mode="zeros",
        )

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandBagAffined:
        """Seed the affine; MONAI seeds only the outermost of nested transforms."""
        super().set_random_state(seed, state)
        self.affine.set_random_state(state=self.R)
        return self

    def randomize(self, data: Any = None) -> None:
        """Draw whether to move, the angle and the shift."""
        self.affine.randomize()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Move each key; slices stand in for channels, which one affine moves alike."""
        item = dict(data)
        self.randomize()
        for key in self.keys:
            bag = torch.as_tensor(item[key])
            moved = self.affine(bag[:, 0], randomize=False)
            item[key] = convert_to_dst_type(moved[:, None], dst=item[key])[0]
        return item
