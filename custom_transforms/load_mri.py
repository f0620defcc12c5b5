"""Load the four modalities of a patient, and the mask where there is one, as one image and one label map."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImaged, MapTransform

from custom_transforms.mri_study import MODALITIES, Affine, case_name, read_label_map, read_modalities, study_name
from custom_transforms.refusal import RefusedError


class LoadImageModalitiesd(LoadImaged):
    """Load `image`, four modalities checked against each other, and `label`, checked against the image.

    `LoadImaged` with several files ignores differing affines, and hides a reader's reason; this reads with
    `custom_transforms.mri_study`. The name keeps `LoadImage`, by which other programs recognise a loader.

    Args:
        keys: `image`, or `image` and `label`, in this order. A missing `label` is passed over.
        label_convention: tissue name to code, for items that carry no `label_convention` of their own.

    The item may carry `modalities` (order of its files or channels; else FLAIR, T1, T1ce, T2), `label_convention`, and
    `slices`, how many h5 slices there must be.

    Returns:
        the item with `image` `(4, X, Y, Z)` float32 and `label` `(1, X, Y, Z)` uint8 as MetaTensor on the grid of
        the first file, `label_convention`, and `case`, by default the first file's stem.

    Raises:
        RefusedError: see `read_modalities` and `read_label_map`.
    """

    def __init__(self, keys: KeysCollection, label_convention: Mapping[str, int] | None = None) -> None:
        # not LoadImaged's own, which makes every reader that MONAI has, and some of these complain on the screen
        MapTransform.__init__(self, keys, allow_missing_keys=True)
        self.label_convention = label_convention or {}

    def __call__(self, data: Mapping[Hashable, Any], reader: object = None) -> dict[Hashable, Any]:
        """Read the files that the item names."""
        item = dict(data)
        image_key, *label_keys = self.keys
        source = item[image_key]
        item["case"] = case_name(item)
        volume, affine = read_modalities(source, item.get("modalities") or MODALITIES)
        item[image_key] = _on_grid(torch.from_numpy(volume), affine, study_name(source))
        if item.get("slices", volume.shape[3]) != volume.shape[3]:
            got = f"{volume.shape[3]}"
            raise RefusedError.of("missing_slice", study_name(source), expected=f"{item['slices']} slices", got=got)
        codes = item.setdefault("label_convention", dict(self.label_convention))
        for key in label_keys:
            if key in item:
                label_map = read_label_map(item[key], codes, like=volume, affine=affine)
                item[key] = _on_grid(torch.from_numpy(label_map)[None], affine, study_name(item[key]))
        return item


def _on_grid(volume: torch.Tensor, affine: Affine, name: str) -> MetaTensor:
    grid = torch.from_numpy(affine)
    meta = {"filename_or_obj": name, "original_affine": grid.clone(), "spatial_shape": tuple(volume.shape[1:])}
    return MetaTensor(volume, affine=grid, meta=meta)
