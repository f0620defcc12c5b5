"""Load one CT scan as an image in Hounsfield units."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImaged, MapTransform

from custom_transforms.mri_study import case_name
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.limits import LIMITS, Limits
from custom_transforms.series_reader import CtSeriesReader


class LoadImageStudyd(LoadImaged):
    """Load a head CT from a DICOM folder, a zip of one, a DICOM file or NIfTI, with `CtSeriesReader`.

    MONAI's loader turns the reason of a refusal into its own error; this tells it. The name keeps `LoadImage`, by which
    other programs recognise a loader.

    Args:
        keys: the key with the path, `image`.
        memory_mib: of a process apart, which reads the scan.
        seconds: that one scan may take.

    The item may carry `series`, the number of the wanted series of a folder that holds several.

    Returns:
        the item with `image`, a MetaTensor `(1, X, Y, S)` float32 in HU whose metadata has `slice_positions_mm` `(S,)`;
        `case`, by default the stem of the folder or file; `notes`, remarks joined by `; `; and, from DICOM, `source`, a
        JSON text with `path`, and `uids` and `frames` of the slices, from which results in DICOM find them again.

    Raises:
        RefusedError: see `custom_transforms.isolated_readers.read_ct_isolated`.
    """

    _loader: Any = SimpleNamespace(image_only=True)  # MONAI Label asks each LoadImaged for metadata through it

    def __init__(
        self, keys: KeysCollection = "image", memory_mib: int = LIMITS.memory_mib, seconds: float = LIMITS.seconds
    ) -> None:
        # not LoadImaged's own, which makes every reader that MONAI has, and some of these complain on the screen
        MapTransform.__init__(self, keys)
        self.series_reader = CtSeriesReader(limits=Limits(memory_mib, seconds))

    def __call__(self, data: Mapping[Hashable, Any], reader: object = None) -> dict[Hashable, Any]:
        """Read the scan that the item names."""
        item = dict(data)
        for key in self.key_iterator(item):
            path = Path(str(item[key]))
            item["case"] = case_name({**item, "image": path})
            try:
                volume = self.series_reader.read(path, series=item.get("series"))
            except RefusedError as error:  # files of different cases have the same names
                raise RefusedError(f"{error} (case {item['case']})") from error
            voxels, meta = self.series_reader.get_data(volume)
            for name in ("affine", "original_affine", "slice_positions_mm"):
                meta[name] = torch.from_numpy(meta[name])
            meta["spatial_shape"] = tuple(voxels.shape)
            meta["filename_or_obj"] = path.name
            meta["original_channel_dim"] = 0
            item[key] = MetaTensor(torch.from_numpy(voxels)[None], affine=meta.pop("affine"), meta=meta)
            if volume.instance_uids:
                frames = {"uids": volume.instance_uids, "frames": volume.frame_numbers}
                item["source"] = json.dumps({"path": str(path), **frames})
            item["notes"] = "; ".join([*filter(None, [item.get("notes", "")]), *volume.notes])
        return item
