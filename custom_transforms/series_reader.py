"""MONAI reader for CT scans: a DICOM folder, zip or file, or NIfTI, in Hounsfield units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from monai.utils import MetaKeys
from numpy.typing import NDArray

from custom_transforms.ct_study import CtVolume
from custom_transforms.isolated_readers import read_ct_isolated
from custom_transforms.runs.limits import LIMITS, Limits


class CtSeriesReader(ImageReader):
    """Read with `custom_transforms.isolated_readers`, for `LoadImage(reader=CtSeriesReader())` and the like.

    `LoadImage` hides the reason of a refusal; `LoadImageStudyd` tells it.

    Args:
        series: number of the wanted series, where a folder holds several to choose from.
        limits: of memory and time for one scan.
    """

    def __init__(self, series: int | None = None, limits: Limits = LIMITS) -> None:
        super().__init__()
        self.series = series
        self.limits = limits

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Accept one folder, NIfTI or DICOM file, or zip."""
        names = [filename] if isinstance(filename, (str, Path)) else list(filename)  # type: ignore[arg-type]
        path = Path(str(names[0]))
        suffixes = (".nii", ".nii.gz", ".dcm", ".dicom", ".ima", ".zip")
        return len(names) == 1 and (path.is_dir() or path.name.lower().endswith(suffixes))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> CtVolume:
        """Read one scan.

        Raises:
            RefusedError: see `read_ct_isolated`.
        """
        path = data if isinstance(data, (str, Path)) else data[0]  # type: ignore[index]
        return read_ct_isolated(Path(str(path)), kwargs.get("series", self.series), limits=self.limits)

    def get_data(self, img: CtVolume) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Give voxels `(X, Y, S)`, a view with columns first, and the metadata that MONAI asks for."""
        voxels = img.hu.transpose(2, 1, 0)
        meta = {
            MetaKeys.AFFINE: img.affine.copy(),
            MetaKeys.ORIGINAL_AFFINE: img.affine.copy(),
            MetaKeys.SPATIAL_SHAPE: np.array(voxels.shape),
            MetaKeys.SPACE: "RAS",
            MetaKeys.ORIGINAL_CHANNEL_DIM: "no_channel",
            "slice_positions_mm": img.slice_positions_mm.copy(),
        }
        return voxels, {str(getattr(key, "value", key)): value for key, value in meta.items()}
