"""Write maps of probability and uncertainty as NIfTI under their case's name, whole or not at all."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import SaveImaged

from custom_transforms.file_stem import file_stem
from custom_transforms.write_nifti import write_nifti

STEP = 2.0**-10  # that values are rounded to: digits behind it are noise, which no compression makes smaller


class SaveImageUncertaintyd(SaveImaged):
    """Write `<output_dir>/<case>_<key>.nii.gz` with the grid that the map has.

    Values are float32, rounded to 1/1024. Several regions become the volumes of a 4D file, in the order of `regions`,
    which its header names. The class's name keeps `SaveImage`, by which other programs recognise a writer.

    Args:
        keys: maps `(R, X, Y, Z)`, brought back to the input's grid, as `UncertaintyMapsd` makes them.
        output_dir: folder of the maps; made if need be.
        regions: names of the R regions.
    """

    def __init__(self, keys: KeysCollection, output_dir: str | Path, regions: Sequence[str]) -> None:
        super().__init__(keys, output_dir=output_dir)
        self.output_dir = Path(output_dir)
        self.regions = tuple(regions)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write each key and return the item unchanged."""
        for key in self.keys:
            maps: MetaTensor = data[key]
            values = np.moveaxis(maps.as_tensor().cpu().numpy(), 0, -1).astype(np.float32)
            values = np.round(values / np.float32(STEP)) * np.float32(STEP)
            if len(self.regions) == 1:
                values = values[..., 0]
            path = self.output_dir / f"{file_stem(str(data['case']))}_{key}.nii.gz"
            write_nifti(path, values, maps.affine.cpu().numpy(), f"{key}: {', '.join(self.regions)}")
        return dict(data)
