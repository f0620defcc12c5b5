"""Measure a classifier patient by patient, over all ranks, each patient once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from custom_transforms.classification import auc, average_precision, best_f1_threshold, f1, sensitivity, specificity
from custom_transforms.operating_point import read_operating_point
from custom_transforms.outside_score import SCORE
from custom_transforms.patient_metrics import PatientRows, one_a_patient
from custom_transforms.spread_of_samples import spread_of_samples

Array = NDArray[np.float64]

OF_PROBS: dict[str, Callable[..., Array]] = {"auc": auc, "average_precision": average_precision}
OF_DECISIONS: dict[str, Callable[..., Array]] = {"f1": f1, "sensitivity": sensitivity, "specificity": specificity}


class PatientScores(PatientRows):
    """One measure of the patients' probabilities; `rows` holds each patient's `case`, `label` and `prob`.

    Of samples `prob` is the mean, and `spread` their standard deviation.

    Args:
        measure: `auc`, `average_precision`, or, at a threshold, `f1`, `sensitivity`, `specificity`.
        operating_point: file with the threshold; where there is no such file, what needs a decision is NaN. The
            default, None, takes the threshold with the best F1 on the very patients that are measured, which is right
            for choosing a model and flatters it as a result.
        weights: file of the network that the operating point must belong to.

    After `compute`, `threshold` holds the threshold that was used.

    Raises:
        ValueError: unknown measure.
    """

    def __init__(
        self, measure: str = "auc", *, operating_point: str | Path | None = None, weights: str | Path = ""
    ) -> None:
        if measure not in {*OF_PROBS, *OF_DECISIONS}:
            known = ", ".join([*OF_PROBS, *OF_DECISIONS])
            raise ValueError(f"patient scores: expected one of {known}, got {measure}")
        self.measure = measure
        self.operating_point = operating_point
        self.weights = weights
        self.threshold = float("nan")
        super().__init__()

    def update(self, output: Mapping[str, Any]) -> None:
        """Add a patient: `pred` `(1,)`, a probability 0..1, or `(T, 1)`, samples of it; `label`, 0 or 1; `case`."""
        probs = torch.as_tensor(output["pred"], dtype=torch.float64).flatten().tolist()
        row = {"case": output["case"], "label": int(output["label"]), "prob": float(np.mean(probs))}
        if len(probs) > 1:
            row["spread"] = spread_of_samples(probs)["spread"]
        if SCORE in output:
            row["outside"] = float(output[SCORE])
        self.rows.append(row)

    def compute(self) -> float:
        """Return the measure over all patients of all ranks; NaN where it is not defined."""
        self.rows = one_a_patient(self.rows)
        labels, probs = (np.array([row[key] for row in self.rows], dtype=np.float64) for key in ("label", "prob"))
        if not np.isfinite(probs).all():  # a network that diverged; MONAI's own AUC would be 0 or 1
            return float("nan")
        self.threshold = self._choose(labels, probs)
        if self.measure in OF_PROBS:
            return float(OF_PROBS[self.measure](labels, probs))
        if not np.isfinite(self.threshold):
            return float("nan")
        return float(OF_DECISIONS[self.measure](labels, (probs >= self.threshold).astype(np.float64)))

    def _choose(self, labels: Array, probs: Array) -> float:
        if self.operating_point is None:
            return best_f1_threshold(labels, probs)
        if not Path(self.operating_point).is_file():
            return float("nan")
        return read_operating_point(self.operating_point, self.weights).threshold
