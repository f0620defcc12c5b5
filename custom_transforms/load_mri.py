"""Load the four modalities of a patient, and the mask where there is one, as one image and one label map."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImaged, MapTransform

from custom_transforms.identifying import shown_name
from custom_transforms.isolated_readers import read_patient_isolated
from custom_transforms.mri_grid import Affine
from custom_transforms.mri_study import MODALITIES, case_name, study_name
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.limits import LIMITS, Limits


class LoadImageModalitiesd(LoadImaged):
    """Load `image`, four modalities checked against each other, and `label`, checked against the image.

    `LoadImaged` with several files ignores differing affines, and hides a reader's reason; this reads with
    `custom_transforms.isolated_readers`. The name keeps `LoadImage`, by which other programs recognise a loader.

    Args:
        keys: `image`, or `image` and `label`, in this order. A missing `label` is passed over.
        label_convention: tissue name to code, for items that carry no `label_convention` of their own.
        memory_mib: of a process apart, which reads the files.
        seconds: that all files of one patient may take.

    The item may carry `modalities` (order of its files or channels; else FLAIR, T1, T1ce, T2), `label_convention`, and
    `slices`, how many h5 slices there must be; `refused` (parts of a reason) says that its files are no patient's.

    Returns:
        the item with `image` `(4, X, Y, Z)` float32 and `label` `(1, X, Y, Z)` uint8 as MetaTensor on the grid of
        the first file, `label_convention`, and `case`, by default the first file's stem.

    Raises:
        RefusedError: see `custom_transforms.isolated_readers.read_patient_isolated`; or the reason in `refused`.
    """

    _loader: Any = SimpleNamespace(image_only=True)  # MONAI Label asks each LoadImaged for metadata through it

    def __init__(
        self,
        keys: KeysCollection,
        label_convention: Mapping[str, int] | None = None,
        memory_mib: int = LIMITS.memory_mib,
        seconds: float = LIMITS.seconds,
    ) -> None:
        # not LoadImaged's own, which makes every reader that MONAI has, and some of these complain on the screen
        MapTransform.__init__(self, keys, allow_missing_keys=True)
        self.label_convention = label_convention or {}
        self.limits = Limits(memory_mib, seconds)

    def __call__(self, data: Mapping[Hashable, Any], reader: object = None) -> dict[Hashable, Any]:
        """Read the files that the item names."""
        item = dict(data)
        image_key, *label_keys = self.keys
        source, modalities = item[image_key], item.get("modalities") or MODALITIES
        if "refused" in item:
            refusal = RefusedError.of(**item["refused"])
            raise refusal.renamed(shown_name(refusal.file, Path(source)))
        item["case"] = case_name(item)
        codes = item.setdefault("label_convention", dict(self.label_convention))
        label_key = next((key for key in label_keys if key in item), None)
        label = None if label_key is None else item[label_key]
        volume, affine, label_map = read_patient_isolated(
            source, modalities, label=label, codes=codes, limits=self.limits
        )
        if item.get("slices", volume.shape[3]) != volume.shape[3]:
            got = f"{volume.shape[3]}"
            raise RefusedError.of("missing_slice", study_name(source), expected=f"{item['slices']} slices", got=got)
        item[image_key] = _on_grid(torch.from_numpy(volume), affine, study_name(source))
        if label_map is not None:
            item[label_key] = _on_grid(torch.from_numpy(label_map)[None], affine, study_name(str(label)))
        return item


def _on_grid(volume: torch.Tensor, affine: Affine, name: str) -> MetaTensor:
    grid = torch.from_numpy(affine)
    meta = {
        "filename_or_obj": name,
        "original_affine": grid.clone(),
        "spatial_shape": tuple(volume.shape[1:]),
        "original_channel_dim": 0,
    }
    return MetaTensor(volume, affine=grid, meta=meta)
