"""Turn label maps into one channel a tumour region, and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

# Regions of the BraTS challenges as unions of tissues (Menze et al., IEEE TMI 2015, table of label regions).
REGIONS: dict[str, tuple[str, ...]] = {
    "necrotic core": ("necrotic core",),
    "TC": ("necrotic core", "enhancing tumour"),
    "WT": ("necrotic core", "enhancing tumour", "oedema"),
    "ET": ("enhancing tumour",),
}
# Which tissue is left where several regions overlap, outermost first: a later region overwrites an earlier one.
TISSUE_OF_REGION = {"WT": "oedema", "TC": "necrotic core", "necrotic core": "necrotic core", "ET": "enhancing tumour"}


class LabelsToTumourRegionsd(MapTransform):
    """Make one binary channel for each region of a label map whose convention is declared.

    Args:
        keys: label maps.
        regions: names from `REGIONS`, in channel order.

    The item's `label_convention` says which code stands for which tissue.
    MONAI's `ConvertToMultiChannelBasedOnBratsClassesd` knows one convention, and drops enhancing tumour of others.

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
            item[key] = torch.cat([self._region(item[key], item["label_convention"], name) for name in self.regions])
        return item

    @staticmethod
    def _region(labels: MetaTensor, codes: Mapping[str, int], name: str) -> torch.Tensor:
        wanted = [codes[tissue] for tissue in REGIONS[name] if tissue in codes]
        if not wanted:
            raise ValueError(f"region {name}: expected a code for {' or '.join(REGIONS[name])}, got {dict(codes)}")
        return torch.isin(labels, torch.tensor(wanted, dtype=labels.dtype)).to(torch.uint8)


class TumourRegionsToLabelsd(MapTransform):
    """Merge binary region channels to one label map, the inverse of `LabelsToTumourRegionsd` for nested regions.

    Args:
        keys: predictions `(R, X, Y, Z)`, 0 or 1.
        regions: names of the channels.
        label_convention: tissue name to code of the map that is made.

    Returns:
        the item with `(1, X, Y, Z)` uint8. Where TC lies outside WT, or ET outside TC, the inner region wins.
    """

    def __init__(self, keys: KeysCollection, regions: Sequence[str], label_convention: Mapping[str, int]) -> None:
        super().__init__(keys)
        _check(regions)
        self.regions = tuple(regions)
        missing = [TISSUE_OF_REGION[name] for name in regions if TISSUE_OF_REGION[name] not in label_convention]
        if missing:
            raise ValueError(f"label_convention: expected a code for {missing[0]}, got {dict(label_convention)}")
        self.codes = {name: label_convention[TISSUE_OF_REGION[name]] for name in regions}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Convert each key."""
        item = dict(data)
        for key in self.key_iterator(item):
            labels = torch.zeros_like(item[key][:1], dtype=torch.uint8)
            for name in (region for region in TISSUE_OF_REGION if region in self.regions):
                labels[item[key][self.regions.index(name)][None] > 0] = self.codes[name]
            item[key] = labels
        return item


def _check(regions: Sequence[str]) -> None:
    unknown = [name for name in regions if name not in REGIONS]
    if unknown or not regions:
        raise ValueError(f"regions: expected names from {', '.join(REGIONS)}, got {list(regions)}")
