"""Count what a data set holds: tissues, tumour sizes, and where along the head tumours lie."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from custom_transforms.atomic_file import whole_file
from custom_transforms.label_map import read_label_map
from custom_transforms.mri_grid import Affine, Volume
from custom_transforms.mri_study import MODALITIES, case_name, read_modalities
from custom_transforms.pictures import brain_box, grey_window, pixel_aspect
from custom_transforms.refusal import RefusedError
from custom_transforms.tumour_regions import REGIONS

Mask = NDArray[np.bool_]

SMALL_PIXELS, MEDIUM_PIXELS = 500, 2000  # below: small, and small to medium, on slices of 1 mm pixels
POSITIONS = 21  # bins, in whole thirds, from the lowest to the highest slice with brain


@dataclass(frozen=True)
class ExampleSlice:
    """The axial slice of a patient that has most tumour, cut to the brain."""

    case: str
    slice_index: int
    image: NDArray[np.float32]  # (4, X, Y) in RAS
    inside: Mask  # (X, Y), True in the brain
    tissues: dict[str, Mask]  # tissue to (X, Y)
    windows: tuple[tuple[float, float], ...]  # black and white of each modality
    aspect: float  # see custom_transforms.pictures.pixel_aspect


@dataclass
class DataSetStatistics:
    """Counts over the patients of a data set.

    `positions` counts slices with brain, and `positions_with_tumour` those of them with tumour, by where they lie
    between the lowest (first bin) and the highest slice with brain.
    """

    region: str
    tumour_ml: dict[str, float] = field(default_factory=dict)  # by case
    areas_pixels: list[int] = field(default_factory=list)  # of every slice of every patient, 0 without tumour
    tissue_voxels: Counter[str] = field(default_factory=Counter)
    brain_voxels: int = 0  # tissue included
    positions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(POSITIONS, np.int64))
    positions_with_tumour: NDArray[np.int64] = field(default_factory=lambda: np.zeros(POSITIONS, np.int64))
    examples: list[ExampleSlice] = field(default_factory=list)

    @property
    def tumour_areas_pixels(self) -> NDArray[np.int64]:
        """Areas of the slices with tumour."""
        areas = np.array(self.areas_pixels, dtype=np.int64)
        return areas[areas > 0]

    @property
    def tumour_probability(self) -> NDArray[np.float64]:
        """Share of slices with tumour by position, `(POSITIONS,)`; NaN where there is no slice."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.positions_with_tumour / self.positions, dtype=np.float64)


def measure_data_set(
    items: Iterable[Mapping[str, Any]], *, region: str = "WT", max_examples: int = 3
) -> DataSetStatistics:
    """Measure patients one after the other; only one is in memory at a time.

    Args:
        items: with `image`, `label`, `label_convention` and, where they differ from the usual, `modalities` and `case`.
        region: what counts as tumour, a name from `REGIONS`.
        max_examples: how many patients' slices are kept, the first ones with tumour.

    Raises:
        RefusedError: a patient's files cannot be used, or there is no mask.
        ValueError: the region is unknown, or a label convention has none of its tissues.
    """
    if region not in REGIONS:
        raise ValueError(f"region: expected one of {', '.join(REGIONS)}, got {region}")
    statistics = DataSetStatistics(region)
    for item in items:
        patient = _read(item, region)
        _add_counts(statistics, patient)
        if len(statistics.examples) < max_examples and patient.tumour.any():
            statistics.examples.append(_example(patient))
    return statistics


def summarise(statistics: DataSetStatistics) -> dict[str, Any]:
    """Return the numbers behind the plots, ready for JSON."""
    areas = statistics.tumour_areas_pixels
    volumes = list(statistics.tumour_ml.values())
    middle = slice(POSITIONS // 3, 2 * POSITIONS // 3)
    in_middle = int(statistics.positions[middle].sum())
    return {
        "region": statistics.region,
        "patients": len(volumes),
        "slices": len(statistics.areas_pixels),
        "slices_with_tumour": len(areas),
        "brain_voxels": statistics.brain_voxels,
        "tissue_voxels": dict(statistics.tissue_voxels),
        f"share_of_tumour_slices_below_{SMALL_PIXELS}_pixels": _share(areas < SMALL_PIXELS),
        f"share_of_tumour_slices_below_{MEDIUM_PIXELS}_pixels": _share(areas < MEDIUM_PIXELS),
        "tumour_ml_quartiles": np.percentile(volumes, (25, 50, 75)).tolist() if volumes else None,
        "tumour_ml": statistics.tumour_ml,
        "tumour_probability_by_position": [None if np.isnan(p) else p for p in statistics.tumour_probability.tolist()],
        "tumour_probability_in_middle_third": (
            float(statistics.positions_with_tumour[middle].sum() / in_middle) if in_middle else None
        ),
    }


def write_statistics(statistics: DataSetStatistics, path: str | Path) -> None:
    """Write `summarise` as JSON."""
    with whole_file(path) as file:
        file.write_text(json.dumps(summarise(statistics), indent=1, allow_nan=False) + "\n", encoding="utf-8")


class _Patient(NamedTuple):
    """One patient in RAS."""

    case: str
    image: Volume  # (4, X, Y, S)
    tissues: dict[str, Mask]  # tissue to (X, Y, S)
    tumour: Mask  # (X, Y, S)
    inside: Mask  # (X, Y, S)
    affine: Affine


def _read(item: Mapping[str, Any], region: str) -> _Patient:
    case = case_name(item)
    if "label" not in item:
        raise RefusedError.of("missing_label", case, expected="a mask", got="none")
    codes: Mapping[str, int] = item.get("label_convention") or {}
    if not set(codes).intersection(REGIONS[region]):
        raise ValueError(f"{case}: expected a code for {' or '.join(REGIONS[region])}, got {dict(codes)}")
    image, affine = read_modalities(item["image"], item.get("modalities") or MODALITIES)
    labels = read_label_map(item["label"], codes, like=image, affine=affine)
    to_ras = nib.io_orientation(affine)
    image = np.stack([nib.orientations.apply_orientation(volume, to_ras) for volume in image])
    affine = affine @ nib.orientations.inv_ornt_aff(to_ras, labels.shape)
    labels = nib.orientations.apply_orientation(labels, to_ras)
    tissues = {tissue: np.equal(labels, code) for tissue, code in codes.items()}
    tumour = np.logical_or.reduce([tissues[name] for name in REGIONS[region] if name in tissues])
    # air is the value of the corner voxel: 0 in NIfTI files, but not in the z-scored h5 slices
    inside = np.logical_or.reduce(image != image[:, :1, :1, :1])
    return _Patient(case, image, tissues, tumour, inside, affine)


def _add_counts(statistics: DataSetStatistics, patient: _Patient) -> None:
    voxel_ml = abs(float(np.linalg.det(patient.affine[:3, :3]))) / 1000
    statistics.tumour_ml[patient.case] = int(patient.tumour.sum()) * voxel_ml
    areas_pixels = patient.tumour.sum(axis=(0, 1))
    statistics.areas_pixels += areas_pixels.tolist()
    statistics.tissue_voxels.update({name: int(mask.sum()) for name, mask in patient.tissues.items()})
    statistics.brain_voxels += int(patient.inside.sum())
    with_brain = np.flatnonzero(patient.inside.any(axis=(0, 1)))
    relative = (with_brain - with_brain[0]) / max(with_brain[-1] - with_brain[0], 1)
    bins = np.minimum((relative * POSITIONS).astype(np.int64), POSITIONS - 1)
    np.add.at(statistics.positions, bins, 1)
    np.add.at(statistics.positions_with_tumour, bins[areas_pixels[with_brain] > 0], 1)


def _example(patient: _Patient) -> ExampleSlice:
    index = int(patient.tumour.sum(axis=(0, 1)).argmax())
    at = (*brain_box(patient.inside), index)
    return ExampleSlice(
        patient.case,
        index,
        np.stack([volume[at] for volume in patient.image]),  # copies, so that the volumes can go
        patient.inside[at].copy(),
        {name: mask[at].copy() for name, mask in patient.tissues.items()},
        tuple(grey_window(volume, patient.inside) for volume in patient.image),
        pixel_aspect(patient.affine),
    )


def _share(condition: Mask) -> float | None:
    return float(condition.mean()) if condition.size else None
