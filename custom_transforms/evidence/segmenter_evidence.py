"""All statistics of a segmenter's evaluation, from its two tables: `patients.csv` and `lesions.csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from custom_transforms.evidence.agreement import bland_altman
from custom_transforms.evidence.intervals import Estimate, patient_interval
from custom_transforms.evidence.pooled_overlap import COUNTS, POOLED, Array, Statistic
from custom_transforms.evidence.tumour_strata import (
    EDGES_ML,
    FEW_LESIONS,
    Stratum,
    sensitivity,
    small_slices,
    strata_by_volume,
    true_lesions,
)
from custom_transforms.evidence.tumour_table import FALSE_POSITIVE, Row, by_region, cell, column

MOST_FROM_1_MM3 = 0.2  # up to it, three voxels of dilation stay about 3 mm

# over the patients for whom a column holds a number
OF_PATIENTS: dict[str, tuple[str, Statistic]] = {
    "mean_dice": ("dice", np.mean),
    "median_dice": ("dice", np.median),
    "mean_iou": ("iou", np.mean),
    "mean_precision": ("precision", np.mean),
    "mean_recall": ("recall", np.mean),
    "mean_surface_dice": ("surface_dice", np.mean),
    "mean_hd95_mm": ("hd95_mm", np.mean),
    "median_hd95_mm": ("hd95_mm", np.median),
    "mean_lesion_dice": ("lesion_dice", np.mean),
    "mean_lesion_hd95_mm": ("lesion_hd95_mm", np.mean),
    "mean_volume_error_ml": ("volume_error_ml", np.mean),
    "median_relative_volume_error": ("relative_volume_error", np.median),
}


def segmenter_evidence(
    rows: Sequence[Row], lesions: Sequence[Row] = (), *, edges_ml: Sequence[float] = EDGES_ML
) -> dict[str, Any]:
    """Work out every statistic; nothing else is needed, no image and no network.

    Args:
        rows: of `patients.csv`, one a patient and region; numbers, or text as CSV gives it. What was not measured has
            no columns and gets no statistics.
        lesions: of `lesions.csv`, one a lesion and one a false positive.
        edges_ml: volumes between strata of lesions, rising.

    Returns:
        `patients`, `metrics`, `regions`, `strata` and `warnings` of `metrics.json`.

    Raises:
        RefusedError: a column is missing, or a cell holds no number.
    """
    regions, of_lesions = by_region(rows), by_region(lesions)
    by_patient: dict[str, list[float]] = {}
    for row, dice in zip(rows, column(rows, "dice"), strict=True):
        by_patient.setdefault(str(cell(row, "row")), []).append(float(dice))
    strata = [stratum for name, part in regions.items() for stratum in _strata(name, part, of_lesions, edges_ml)]
    return {
        "patients": len(by_patient),
        "metrics": {"mean_dice": patient_interval([[np.mean(dice) for dice in by_patient.values()]], np.mean)},
        "regions": {name: summarise(part, of_lesions.get(name, [])) for name, part in regions.items()},
        "strata": strata,
        "warnings": _warnings(len(by_patient), regions, strata),
    }


def summarise(rows: Sequence[Row], lesions: Sequence[Row] = ()) -> dict[str, Any]:
    """Estimate every metric of one region, each with its 95 % interval over patients.

    Args:
        rows: of the region, one a patient.
        lesions: of the region.

    Returns:
        estimates by name, and `bland_altman` of volume in ml, which holds three.
    """
    measured = {name: way for name, way in OF_PATIENTS.items() if rows and way[0] in rows[0]}
    found: dict[str, Any] = {
        name: patient_interval([_defined(column(rows, source))], statistic)
        for name, (source, statistic) in measured.items()
    }
    found["mean_dice_with_tumour"] = patient_interval([column(rows, "dice")[_with_tumour(rows)]], np.mean)
    counts = [column(rows, name) for name in COUNTS]
    small = [column(rows, f"small_{name}") for name in COUNTS]
    found |= {f"pooled_{name}": patient_interval(counts, statistic) for name, statistic in POOLED.items()}
    found["pooled_small_tumour_dice"] = patient_interval(small, POOLED["dice"])
    if "mean_lesion_dice" in measured:
        found |= _of_lesions(rows, lesions)
    if "mean_volume_error_ml" in measured:
        found["bland_altman"] = bland_altman(column(rows, "volume_ml"), column(rows, "truth_volume_ml"))
    return found


def _of_lesions(rows: Sequence[Row], lesions: Sequence[Row]) -> dict[str, Estimate]:
    invented = [str(cell(lesion, "row")) for lesion in lesions if cell(lesion, "found") == FALSE_POSITIVE]
    of_patients = [invented.count(str(cell(row, "row"))) for row in rows]
    return {
        "lesion_sensitivity": sensitivity(true_lesions(lesions)),
        "mean_false_positive_lesions": patient_interval([of_patients], np.mean),
    }


def _strata(
    region: str, rows: Sequence[Row], of_lesions: Mapping[str, Sequence[Row]], edges_ml: Sequence[float]
) -> list[Stratum]:
    measured = bool(rows) and "lesion_dice" in rows[0]
    by_volume = strata_by_volume(region, of_lesions.get(region, []), edges_ml) if measured else []
    return [small_slices(region, rows), *by_volume]


def _warnings(patients: int, regions: Mapping[str, Sequence[Row]], strata: Sequence[Stratum]) -> list[str]:
    found = ["fewer than 3 patients: no intervals from resampling"] if patients < 3 else []
    for name, rows in regions.items():
        there = int(_with_tumour(rows).sum())
        if not there:
            found.append(f"{name}: in no patient's truth; its numbers tell of false positives alone")
        elif there < len(rows):
            absent = f"{name}: not in the truth of {len(rows) - there} of {len(rows)} patients, where Dice is 1 or 0"
            found.append(f"{absent}; see mean_dice_with_tumour")
        few = [f"{_volumes(part)} ({part['lesions']})" for part in strata if part["region"] == name and _few(part)]
        if few:
            found.append(f"{name}: fewer than {FEW_LESIONS} lesions {', '.join(few)}")
    return found + _of_voxels([row for rows in regions.values() for row in rows])


def _of_voxels(rows: Sequence[Row]) -> list[str]:
    """Tell where voxels are far from the 1 mm3 for which the rules of lesions were made."""
    if not rows or "lesion_dice" not in rows[0]:
        return []
    marked_mm3 = 1000 * (column(rows, "volume_ml") + column(rows, "truth_volume_ml"))
    voxels = 2 * column(rows, "tp") + column(rows, "fp") + column(rows, "fn")
    sizes = marked_mm3[voxels > 0] / voxels[voxels > 0]
    odd = sizes[np.abs(sizes - 1) > MOST_FROM_1_MM3]
    return [f"voxels of {odd[0]:.3g} mm3: the rules of lesions count voxels of 1 mm3, as in BraTS"] if odd.size else []


def _volumes(stratum: Stratum) -> str:
    return stratum["stratum"].removeprefix("lesions ")


def _few(stratum: Stratum) -> bool:
    return stratum["lesions"] is not None and bool(stratum["warning"])


def _with_tumour(rows: Sequence[Row]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(column(rows, "tp") + column(rows, "fn") > 0)


def _defined(values: Array) -> Array:
    return values[~np.isnan(values)]
