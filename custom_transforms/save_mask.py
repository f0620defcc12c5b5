"""Write a predicted mask as NIfTI under its case's name, whole or not at all."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import SaveImaged

from custom_transforms.atomic_file import whole_file
from custom_transforms.file_stem import file_stem


class SaveImageMaskd(SaveImaged):
    """Write `<output_dir>/<case><postfix>.nii.gz` with the grid that the mask has.

    MONAI's writer names a file after the input, so that two cases overwrite each other where their files' names are
    equal, and leaves half a file when it is killed. The name keeps `SaveImage`, by which other programs recognise
    a writer.

    Args:
        keys: label maps `(1, X, Y, Z)`, brought back to the input's grid.
        output_dir: folder of the masks; made if need be.
        postfix: what follows the case in the file's name.
    """

    def __init__(self, keys: KeysCollection, output_dir: str | Path, postfix: str = "") -> None:
        super().__init__(keys, output_dir=output_dir)
        self.output_dir = Path(output_dir)
        self.postfix = postfix

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write each key, as uint8, and return the item unchanged."""
        for key in self.keys:
            mask: MetaTensor = data[key]
            affine = mask.affine.cpu().numpy()
            image = nib.Nifti1Image(mask.as_tensor()[0].cpu().numpy().astype(np.uint8), affine)
            image.set_sform(affine, 1)
            image.set_qform(affine, 1)
            if not np.allclose(image.get_qform(), affine, atol=1e-3):  # a qform holds no shear
                image.set_qform(None, 0)
            image.header.set_xyzt_units("mm")
            with whole_file(self.output_dir / f"{file_stem(str(data['case']))}{self.postfix}.nii.gz") as file:
                nib.save(image, file)
        return dict(data)
