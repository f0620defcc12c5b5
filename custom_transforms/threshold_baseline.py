"""The best that one threshold on one modality can do: a floor that a network has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from custom_transforms.mri_study import MODALITIES
from custom_transforms.patient_metrics import PatientRows, Row, one_a_patient

# Thresholds on z-scored brain: every 0.1 from -4 to 8 standard deviations.
THRESHOLDS = torch.linspace(-4.0, 8.0, 121)


def threshold_dice(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Dice of every threshold on every modality, for brain above and for brain below it.

    Args:
        image: z-scored `(M, X, Y, S)`, 0 outside the brain.
        truth: `(R, X, Y, S)`, 0 or 1.

    Returns:
        `(R, M, 2, T)`, 0..1; index 0 of the third axis is "above", 1 is "below".
    """
    curves = []
    for modality in image:
        brain = modality != 0
        step = torch.bucketize(modality[brain], THRESHOLDS.to(modality.device))
        inside = truth[:, brain].bool()
        total = _cumulated(step)
        curves.append(torch.stack([_dice_curves(_cumulated(step[mask]), total) for mask in inside]))
    return torch.stack(curves, dim=1)


def _cumulated(step: torch.Tensor) -> torch.Tensor:
    """Count voxels above and below each threshold, `(2, T)`."""
    count = torch.bincount(step, minlength=len(THRESHOLDS) + 1)
    below = count.cumsum(0)[:-1]
    return torch.stack([count.sum() - below, below])


def _dice_curves(overlap: torch.Tensor, marked: torch.Tensor) -> torch.Tensor:
    size = marked + overlap.sum(0)[0]
    return torch.where(size > 0, 2 * overlap / size.clamp(min=1), 1.0)


class ThresholdBaseline(PatientRows):
    """Mean Dice, over regions, of the threshold that is best for each region on the very patients it is tested on.

    Choosing on the tested patients favours the baseline, so that beating it means something.

    Args:
        regions: names of the channels.

    After `compute`, `best` holds for each region its modality, direction, threshold and mean Dice.
    """

    def __init__(self, regions: Sequence[str]) -> None:
        self.regions = tuple(regions)
        super().__init__()

    def update(self, output: Mapping[str, Any]) -> None:
        """Add a patient: `image` `(M, X, Y, S)`, `label` `(R, X, Y, S)` and `case`."""
        curves = threshold_dice(output["image"], output["label"])
        self.rows.append({"case": output["case"], "dice": curves.cpu().numpy()})

    def compute(self) -> float:
        """Return the mean over regions, 0..1; NaN without patients."""
        self.rows = one_a_patient(self.rows)
        if not self.rows:
            return float("nan")
        mean = np.mean([row["dice"] for row in self.rows], axis=0)
        self.best = [self._best(region, mean[i]) for i, region in enumerate(self.regions)]
        return float(np.mean([best["dice"] for best in self.best]))

    @staticmethod
    def _best(region: str, dice: np.ndarray[Any, np.dtype[np.float32]]) -> Row:
        modality, direction, step = np.unravel_index(int(dice.argmax()), dice.shape)
        return {
            "region": region,
            "modality": MODALITIES[modality],
            "direction": ("above", "below")[direction],
            "threshold": round(float(THRESHOLDS[step]), 1),
            "dice": float(dice.max()),
        }
