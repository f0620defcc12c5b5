"""Keep the brain of a head CT and set everything else to one value."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from custom_transforms.brain_region import extract_brain
from custom_transforms.check_head import slice_positions
from custom_transforms.orientation import require_axes
from custom_transforms.refusal import RefusedError


class ExtractBrain(Transform):
    """Find the brain of a head CT, and set the image outside it to `outside_hu`.

    The outside is not set to 0 HU, which is brain's own range; the default lies below every window, so that the
    window makes the outside exactly 0.

    Args:
        low_hu: least value of brain and CSF with their noise.
        high_hu: greatest value of brain and fresh blood with their noise.
        bone_hu: bone lies above.
        outside_hu: what the image becomes outside the brain.

    Raises:
        ValueError: limits out of order.

    Example:
        >>> brain, mask = ExtractBrain()(Orientation("LPS")(head))
    """

    def __init__(
        self, *, low_hu: float = -50, high_hu: float = 100, bone_hu: float = 150, outside_hu: float = -1000
    ) -> None:
        if not low_hu < high_hu <= bone_hu:
            raise ValueError(f"expected low_hu < high_hu <= bone_hu, got {low_hu}, {high_hu}, {bone_hu}")
        self.limits_hu = {"low_hu": low_hu, "high_hu": high_hu, "bone_hu": bone_hu}
        self.outside_hu = outside_hu

    def __call__(self, image: MetaTensor, *, case: str = "image") -> tuple[MetaTensor, MetaTensor]:
        """Return a new image and the brain's mask; the image that came is left as it was.

        Args:
            image: `(1, X, Y, S)` in HU, X to the left, Y to the back, S to the head (`LPS`); where the slices are not
                even, its metadata has `slice_positions_mm` `(S,)`.
            case: what a refusal names.

        Returns:
            the image `(1, X, Y, S)` in HU, and the mask `(1, X, Y, S)` uint8, 0 or 1, both on the image's grid.

        Raises:
            ValueError: another orientation.
            RefusedError: `no_brain`, no slice shows a brain within bone.
        """
        require_axes(image.affine.cpu().numpy(), "LPS", why="as the brain is followed to the feet")
        planes = image.as_tensor()[0].permute(2, 1, 0).cpu().numpy()
        found = self._mask(image, planes, case)
        kept = np.full(planes.shape, self.outside_hu, planes.dtype)
        np.copyto(kept, planes, where=found)
        image_like, mask_like = (
            MetaTensor(torch.from_numpy(voxels).permute(2, 1, 0)[None], meta=dict(image.meta), applied_operations=done)
            for voxels, done in ((kept, list(image.applied_operations)), (found.view(np.uint8), None))
        )
        return image_like, mask_like

    def _mask(self, image: MetaTensor, planes: NDArray[Any], case: str) -> NDArray[np.bool_]:
        """Return the brain's mask with axes `(S, R, C)`."""
        column_mm, row_mm = torch.linalg.norm(image.affine[:3, :2], dim=0).tolist()
        mask = extract_brain(
            np.ascontiguousarray(planes, dtype=np.float32),
            spacing_mm=(row_mm, column_mm),
            slice_positions_mm=slice_positions(image),
            **self.limits_hu,
        )
        if not mask.any():
            raise RefusedError.of("no_brain", case, expected="soft tissue enclosed by bone", got="none in any slice")
        return mask


class ExtractBraind(MapTransform):
    """Write the brain's mask and set the image outside it to `outside_hu`; see `ExtractBrain`.

    Args:
        keys: CT volumes `(1, X, Y, S)` in HU, in LPS.
        mask_key: where the mask goes, `(1, X, Y, S)` uint8, 0 or 1, on the image's grid.
        low_hu, high_hu, bone_hu, outside_hu: see `ExtractBrain`.

    Raises:
        ValueError: another orientation, or limits out of order.
        RefusedError: `no_brain`, no slice shows a brain within bone.

    Example:
        >>> item = ExtractBraind("image")(item)
        >>> item["brain"].shape == item["image"].shape
    """

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str = "brain",
        low_hu: float = -50,
        high_hu: float = 100,
        bone_hu: float = 150,
        outside_hu: float = -1000,
    ) -> None:
        super().__init__(keys)
        self.mask_key = mask_key
        self.extract = ExtractBrain(low_hu=low_hu, high_hu=high_hu, bone_hu=bone_hu, outside_hu=outside_hu)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item; the image that came is left as it was."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key], item[self.mask_key] = self.extract(item[key], case=str(item.get("case", key)))
        return item
