"""How sure a segmentation is of each lesion: one row of numbers for each connected component."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import SaveImaged
from numpy.typing import NDArray
from scipy import ndimage

from custom_transforms.atomic_file import whole_file
from custom_transforms.file_stem import file_stem

Maps = NDArray[np.float32]
MEASURED = ("probability", "entropy", "mutual_information")
COLUMNS = ("region", "lesion", "volume_ml", "x_mm", "y_mm", "z_mm", *(f"mean_{name}" for name in MEASURED))


def lesion_rows(
    maps: Mapping[str, Maps], regions: Sequence[str], affine: NDArray[np.float64], threshold: float = 0.5
) -> Iterator[dict[str, Any]]:
    """Measure each lesion of each region, the largest first.

    A lesion is a connected component, by faces, edges and corners, of voxels whose mean probability is at or above the
    threshold.

    Args:
        maps: `probability`, and any others of `MEASURED`, each `(R, X, Y, Z)`.
        regions: names of the R regions.
        affine: to RAS in mm.
        threshold: of probability, 0..1.

    Returns:
        rows with `COLUMNS`: the lesion's number in its region, its volume in ml, its centre in RAS mm, and means over
        its voxels; entropy and mutual information are in bits.
    """
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    for number, region in enumerate(regions):
        labels, count = ndimage.label(maps["probability"][number] >= threshold, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        numbers = np.argsort(-sizes, kind="stable") + 1
        centres = ndimage.center_of_mass(labels > 0, labels, numbers)
        means = {name: ndimage.mean(maps[name][number], labels, numbers) for name in MEASURED}
        for place, label in enumerate(numbers):
            x_mm, y_mm, z_mm = affine[:3, :3] @ centres[place] + affine[:3, 3]
            row = {"region": region, "lesion": place + 1, "volume_ml": round(sizes[label - 1] * voxel_ml, 4)}
            row |= {"x_mm": round(x_mm, 1), "y_mm": round(y_mm, 1), "z_mm": round(z_mm, 1)}
            yield row | {f"mean_{name}": round(float(means[name][place]), 4) for name in MEASURED}


class SaveImageLesionsd(SaveImaged):
    """Write `<output_dir>/<case>_lesions.csv`, the rows of `lesion_rows`; without a lesion it has none.

    Args:
        keys: the mean probability `(R, X, Y, Z)` on the input's grid; `entropy` and `mutual_information` beside it.
        output_dir: folder of the tables; made if need be.
        regions: names of the R regions.
        threshold: of probability, 0..1.
    """

    def __init__(
        self, keys: KeysCollection, output_dir: str | Path, regions: Sequence[str], threshold: float = 0.5
    ) -> None:
        super().__init__(keys, output_dir=output_dir)
        self.output_dir = Path(output_dir)
        self.regions = tuple(regions)
        self.threshold = threshold

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write, and return the item unchanged."""
        for key in self.keys:
            tensors = {"probability": data[key], **{name: data[name] for name in MEASURED[1:]}}
            maps = {name: tensor.as_tensor().cpu().numpy() for name, tensor in tensors.items()}
            rows = lesion_rows(maps, self.regions, data[key].affine.cpu().numpy(), self.threshold)
            path = self.output_dir / f"{file_stem(str(data['case']))}_lesions.csv"
            with whole_file(path) as file, file.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
        return dict(data)
