"""Keep an image under a second name, for steps after those that replace it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import ensure_tuple


class KeepItemd(MapTransform):
    """Give items a second name.

    MONAI's `CopyItemsd` copies; here nothing is, since every step returns a new image and leaves its input alone.

    Args:
        keys: the items.
        names: the second name of each.

    Raises:
        ValueError: not one name for each key.

    Example:
        >>> KeepItemd("image", "hu")({"image": scan})["hu"] is scan
        True
    """

    def __init__(self, keys: KeysCollection, names: KeysCollection) -> None:
        super().__init__(keys)
        self.names = ensure_tuple(names)
        if len(self.names) != len(self.keys):
            raise ValueError(f"names: expected one for each of {self.keys}, got {self.names}")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item."""
        item = dict(data)
        for key, name in self.key_iterator(item, self.names):
            item[name] = item[key]
        return item
