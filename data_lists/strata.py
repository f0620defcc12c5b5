"""Groups of like patients, each of which is to be split in the same shares."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

QUARTILES = 4  # of tumour size: each still holds tens of patients in data sets of BraTS's size


def make_strata(
    patients: Sequence[str], *, tumour_ml: Mapping[str, float] | None, labels: Mapping[str, int] | None
) -> list[list[str]]:
    """Group patients by quartile of tumour size or by label; all in one group where neither is given.

    Patients of equal size are cut into quartiles by the order given.

    Args:
        patients: ids in any fixed order, which each group keeps.
        tumour_ml: tumour volume of each patient in ml, or None.
        labels: class of each patient, or None.

    Returns:
        The groups: quartiles from small to large, or labels in ascending order.

    Raises:
        ValueError: If a tumour volume or a label is missing, or both are given.
    """
    if tumour_ml is not None and labels is not None:
        raise ValueError("expected tumour volumes or labels to stratify by, got both")
    if tumour_ml is not None:
        size_ml = {patient: _size(tumour_ml, patient) for patient in patients}
        by_size = sorted(patients, key=lambda patient: size_ml[patient])
        bounds = [len(by_size) * quartile // QUARTILES for quartile in range(QUARTILES + 1)]
        groups = [set(by_size[low:high]) for low, high in itertools.pairwise(bounds)]
    elif labels is not None:
        values = sorted(set(labels.values()))
        groups = [{patient for patient in patients if _label(labels, patient) == label} for label in values]
    else:
        groups = [set(patients)]
    return [[patient for patient in patients if patient in group] for group in groups]


def _size(tumour_ml: Mapping[str, float], patient: str) -> float:
    if patient not in tumour_ml or not math.isfinite(tumour_ml[patient]):
        raise ValueError(f"expected a tumour volume in ml for every patient, got {tumour_ml.get(patient)} ({patient})")
    return tumour_ml[patient]


def _label(labels: Mapping[str, int], patient: str) -> int:
    if patient not in labels:
        raise ValueError(f"expected a label for every patient, got none ({patient})")
    return labels[patient]
