"""Turn label maps into one channel a tumour region, and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

# Regions of the BraTS challenges as unions of tissues (Menze et al., IEEE TMI 2015, table of label regions).
REGIONS: dict[str, tuple[str, ...]] = {
    "necrotic core": ("necrotic core",),
    "TC": ("necrotic core", "enhancing tumour"),
    "WT": ("necrotic core", "enhancing tumour", "oedema"),
    "ET": ("enhancing tumour",),
}
# Which tissue is left where several regions overlap, outermost first: a later region overwrites an earlier one.
TISSUE_OF_REGION = {"WT": "oedema", "TC": "necrotic core", "necrotic core": "necrotic core", "ET": "enhancing tumour"}


class LabelsToTumourRegions(Transform):
    """Make one binary channel for each region of a label map whose convention is declared.

    MONAI's `ConvertToMultiChannelBasedOnBratsClasses` knows one convention, and drops enhancing tumour of others.

    Args:
        regions: names from `REGIONS`, in channel order.
        label_convention: tissue name to code, as `{"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}`.

    Raises:
        ValueError: a region is unknown, or the convention has no code for any of a region's tissues.

    Example:
        >>> channels = LabelsToTumourRegions(["TC", "WT", "ET"], {"oedema": 2, "enhancing tumour": 4})(labels)
    """

    def __init__(self, regions: Sequence[str], label_convention: Mapping[str, int]) -> None:
        _check(regions)
        self.codes = [_codes(name, label_convention) for name in regions]

    def __call__(self, labels: torch.Tensor) -> torch.Tensor:
        """Turn codes `(1, X, Y, Z)` into `(R, X, Y, Z)` uint8, 0 or 1."""
        return torch.cat([torch.isin(labels, torch.tensor(codes).to(labels)).to(torch.uint8) for codes in self.codes])


class LabelsToTumourRegionsd(MapTransform):
    """Make one binary channel for each region of a label map; see `LabelsToTumourRegions`.

    Args:
        keys: label maps; one that the item lacks is passed over.
        regions: names from `REGIONS`, in channel order.

    The item's `label_convention` says which code stands for which tissue.

    Returns:
        the item with `(1, X, Y, Z)` codes turned into `(R, X, Y, Z)` uint8, 0 or 1.

    Raises:
        ValueError: a region is unknown, or the convention has no code for any of a region's tissues.
    """

    def __init__(self, keys: KeysCollection, regions: Sequence[str]) -> None:
        super().__init__(keys, allow_missing_keys=True)
        _check(regions)
        self.regions = tuple(regions)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Convert each key that the item has."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = LabelsToTumourRegions(self.regions, item["label_convention"])(item[key])
        return item


class TumourRegionsToLabels(Transform):
    """Merge binary region channels to one label map, the inverse of `LabelsToTumourRegions` for nested regions.

    Args:
        regions: names of the channels.
        label_convention: tissue name to code of the map that is made.

    Raises:
        ValueError: a region is unknown, or the convention lacks its code.
    """

    def __init__(self, regions: Sequence[str], label_convention: Mapping[str, int]) -> None:
        _check(regions)
        self.regions = tuple(regions)
        missing = [TISSUE_OF_REGION[name] for name in regions if TISSUE_OF_REGION[name] not in label_convention]
        if missing:
            raise ValueError(f"label_convention: expected a code for {missing[0]}, got {dict(label_convention)}")
        self.codes = {name: label_convention[TISSUE_OF_REGION[name]] for name in regions}

    def __call__(self, channels: torch.Tensor) -> torch.Tensor:
        """Turn channels `(R, X, Y, Z)`, 0 or 1, into `(1, X, Y, Z)` uint8.

        Where TC lies outside WT, or ET outside TC, the inner region wins.
        """
        labels = torch.zeros_like(channels[:1], dtype=torch.uint8)
        for name in (region for region in TISSUE_OF_REGION if region in self.regions):
            labels[channels[self.regions.index(name)][None] > 0] = self.codes[name]
        return labels


class TumourRegionsToLabelsd(MapTransform):
    """Merge binary region channels to one label map; see `TumourRegionsToLabels`.

    Args:
        keys: predictions `(R, X, Y, Z)`, 0 or 1.
        regions, label_convention: see `TumourRegionsToLabels`.

    Returns:
        the item with `(1, X, Y, Z)` uint8.

    Raises:
        ValueError: a region is unknown, or the convention lacks its code.
    """

    def __init__(self, keys: KeysCollection, regions: Sequence[str], label_convention: Mapping[str, int]) -> None:
        super().__init__(keys)
        self.to_labels = TumourRegionsToLabels(regions, label_convention)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Convert each key."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.to_labels(item[key])
        return item


def _check(regions: Sequence[str]) -> None:
    unknown = [name for name in regions if name not in REGIONS]
    if unknown or not regions:
        raise ValueError(f"regions: expected names from {', '.join(REGIONS)}, got {list(regions)}")


def _codes(name: str, label_convention: Mapping[str, int]) -> list[int]:
    wanted = [label_convention[tissue] for tissue in REGIONS[name] if tissue in label_convention]
    if not wanted:
        expected = " or ".join(REGIONS[name])
        raise ValueError(f"region {name}: expected a code for {expected}, got {dict(label_convention)}")
    return wanted
