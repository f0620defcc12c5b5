"""How well tumours of different sizes are found: small ones by slice, lesions by volume."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

import numpy as np
from scipy.stats import binomtest

from custom_transforms.evidence.intervals import Estimate, patient_interval
from custom_transforms.evidence.pooled_overlap import COUNTS, PER_ONE, POOLED, Array
from custom_transforms.evidence.tumour_table import FALSE_POSITIVE, FOUND, Row, cell, column

# Spheres of about 10, 20 and 30 mm across; 10 mm is the least that RANO 2.0 calls measurable (Wen et al., JCO 2023).
# Fixed, so that data sets can be compared, which tertiles cannot.
EDGES_ML = (0.5, 4.0, 14.0)
FEW_LESIONS = 10  # below, one lesion more or less moves a sensitivity by over 10 points
EXACT = "Clopper-Pearson over patients"


class Stratum(TypedDict):
    """Part of the tumours of a region.

    `lesions` is None where slices are counted; `warning` is empty where there are enough.
    """

    region: str
    stratum: str
    patients: int
    lesions: int | None
    metrics: dict[str, Estimate]
    warning: str


def check_edges(edges_ml: Sequence[float]) -> None:
    """Check the volumes between strata.

    Raises:
        ValueError: volumes that do not rise, or one that is not above 0.
    """
    if any(not low < high for low, high in pairwise([0, *edges_ml])):
        raise ValueError(f"strata: expected rising volumes above 0 ml, got {list(edges_ml)}")


def small_slices(region: str, rows: Sequence[Row]) -> Stratum:
    """Pool the slices with a small true tumour, as the published system does.

    Args:
        region: its name.
        rows: of the region, one a patient, with `small_tp`, `small_fp` and so on.
    """
    counts = [column(rows, f"small_{name}") for name in COUNTS]
    patients = counts[0] + counts[2] > 0
    with_any = [count[patients] for count in counts]
    metrics = {f"pooled_{name}": patient_interval(with_any, POOLED[name]) for name in ("dice", "precision", "recall")}
    few = "" if patients.any() else "no slice with a small tumour"
    return Stratum(
        region=region, stratum="slices with a small tumour", patients=int(patients.sum()), lesions=None,
        metrics=metrics, warning=few,
    )  # fmt: skip


def strata_by_volume(region: str, lesions: Sequence[Row], edges_ml: Sequence[float] = EDGES_ML) -> list[Stratum]:
    """Measure the true lesions between two volumes: how many are found, and their mean Dice, a missed one as 0.

    Intervals resample patients, since lesions of one patient are not independent.

    Args:
        region: its name.
        lesions: of the region; those that are not counted, and false positives, are left out.
        edges_ml: volumes between strata, rising.
    """
    true = true_lesions(lesions)
    volumes = column(true, "volume_ml")
    strata = []
    for low, high in pairwise([0.0, *edges_ml, np.inf]):
        inside = [lesion for lesion, volume in zip(true, volumes, strict=True) if low <= volume < high]
        strata.append(_stratum(region, _between(low, high), inside))
    return strata


def _stratum(region: str, volumes: str, lesions: Sequence[Row]) -> Stratum:
    few = f"{len(lesions)} lesions, fewer than {FEW_LESIONS}" if len(lesions) < FEW_LESIONS else ""
    return Stratum(
        region=region,
        stratum=f"lesions {volumes}",
        patients=len({cell(lesion, "row") for lesion in lesions}),
        lesions=len(lesions),
        metrics={"sensitivity": sensitivity(lesions), "mean_dice": _mean_dice(lesions)},
        warning=few,
    )


def true_lesions(lesions: Sequence[Row]) -> list[Row]:
    """Choose the counted lesions of the truth."""
    counted = column(lesions, "counted") > 0
    return [row for row, used in zip(lesions, counted, strict=True) if used and cell(row, "found") != FALSE_POSITIVE]


def sensitivity(lesions: Sequence[Row]) -> Estimate:
    """Share of true lesions that are found.

    Resampling cannot tell how sure "all" or "none" is. There the interval is Clopper and Pearson's of as many trials as
    there are patients, as if a patient's lesions were one: rather too wide than too narrow.
    """
    found, total = _by_patient(lesions, np.array([cell(lesion, "found") == FOUND for lesion in lesions], np.float64))
    patients = len(total)
    if not patients or 0 < found.sum() < total.sum():
        return patient_interval([found, total], PER_ONE)
    share = float(found.sum() / total.sum())
    exact = binomtest(int(share) * patients, patients).proportion_ci(0.95, method="exact")
    return Estimate(value=share, ci_low=float(exact.low), ci_high=float(exact.high), n=patients, method=EXACT)


def _mean_dice(lesions: Sequence[Row]) -> Estimate:
    return patient_interval(_by_patient(lesions, column(lesions, "dice")), PER_ONE)


def _by_patient(lesions: Sequence[Row], amounts: Array) -> tuple[Array, Array]:
    """Sum over each patient's lesions, and count them, each `(P,)`."""
    ids = [str(cell(lesion, "row")) for lesion in lesions]
    _, patient = np.unique(ids, return_inverse=True)
    return np.bincount(patient, weights=amounts).astype(np.float64), np.bincount(patient).astype(np.float64)


def _between(low_ml: float, high_ml: float) -> str:
    if high_ml == np.inf:
        return f"of {low_ml:g} ml and more" if low_ml else "of any volume"
    return f"of {low_ml:g} to {high_ml:g} ml" if low_ml else f"under {high_ml:g} ml"
