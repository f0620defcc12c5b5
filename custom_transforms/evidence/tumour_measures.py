"""Everything that is measured of one patient's segmentation, beyond counts of voxels."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing

from custom_transforms.evidence.lesion_wise import Lesion, LesionRules, compare_lesions, lesion_wise_scores
from custom_transforms.tumour_surfaces import Mask, Spacing, hausdorff95_mm, surface_dice

LESIONS = "lesions"  # of a row: what goes to a table of its own


class TumourMeasures:
    """Measure overlap, surfaces, volumes and lesions of each region of a patient.

    Args:
        surface_tolerance_mm: distance up to which surfaces agree; 1 mm is one voxel of BraTS.
        lesion_rules: of the challenge whose lesion-wise scores are wanted; the default, None: those of glioma.

    Raises:
        ValueError: a tolerance below 0 or not finite.
    """

    def __init__(self, *, surface_tolerance_mm: float = 1.0, lesion_rules: LesionRules | None = None) -> None:
        if not (surface_tolerance_mm >= 0 and math.isfinite(surface_tolerance_mm)):
            raise ValueError(f"surface_tolerance_mm: expected 0 or more, got {surface_tolerance_mm}")
        self.surface_tolerance_mm = surface_tolerance_mm
        self.lesion_rules = lesion_rules or LesionRules()

    def settings(self) -> dict[str, Any]:
        """Give what the numbers depend on, in plain values."""
        return {"surface_tolerance_mm": self.surface_tolerance_mm, "lesion_rules": asdict(self.lesion_rules)}

    def __call__(self, pred: torch.Tensor, truth: torch.Tensor) -> list[dict[str, Any]]:
        """Measure one patient.

        Args:
            pred: prediction `(R, X, Y, S)`, 0 or 1, with an affine.
            truth: the same shape, 0 or 1.

        Returns:
            for each region `iou`, `precision`, `recall`, 0..1; `hd95_mm`; `surface_dice`, 0..1; `volume_ml`,
            `truth_volume_ml`, `volume_error_ml`, prediction minus truth, `relative_volume_error`, its size as part of
            the truth; `lesion_dice`, `lesion_hd95_mm`; and `lesions`, a dictionary each. None where undefined: of
            precision where nothing is marked, of recall and the relative error where there is no tumour.

        Raises:
            ValueError: a prediction without an affine, or of another shape than the truth.
        """
        if not isinstance(pred, MetaTensor):
            raise ValueError("surface distance: expected a prediction with an affine, got a plain tensor")
        spacing_mm = tuple(affine_to_spacing(pred.affine).tolist())
        preds, truths = (np.asarray(part.as_subclass(torch.Tensor).bool().cpu()) for part in (pred, truth))
        return [self._measure(one, other, spacing_mm) for one, other in zip(preds, truths, strict=True)]

    def _measure(self, pred: Mask, truth: Mask, spacing_mm: Spacing) -> dict[str, Any]:
        lesions = compare_lesions(pred, truth, spacing_mm=spacing_mm, rules=self.lesion_rules)
        lesion_dice, lesion_hd95_mm = lesion_wise_scores(lesions)
        return {
            **_overlap(pred, truth),
            "hd95_mm": hausdorff95_mm(pred, truth, spacing_mm=spacing_mm),
            "surface_dice": surface_dice(pred, truth, spacing_mm=spacing_mm, tolerance_mm=self.surface_tolerance_mm),
            **_volumes(pred, truth, float(np.prod(spacing_mm))),
            "lesion_dice": lesion_dice,
            "lesion_hd95_mm": lesion_hd95_mm,
            LESIONS: [_row(number, lesion) for number, lesion in enumerate(lesions, start=1)],
        }


def _row(number: int, lesion: Lesion) -> dict[str, Any]:
    return {"lesion": number, **asdict(lesion), "counted": int(lesion.counted)}


def _overlap(pred: Mask, truth: Mask) -> dict[str, float | None]:
    both, either = int((pred & truth).sum()), int((pred | truth).sum())
    return {
        "iou": both / either if either else 1.0,
        "precision": _part(both, int(pred.sum())),
        "recall": _part(both, int(truth.sum())),
    }


def _volumes(pred: Mask, truth: Mask, voxel_mm3: float) -> dict[str, float | None]:
    voxels, truth_voxels = int(pred.sum()), int(truth.sum())
    return {
        "volume_ml": voxels * voxel_mm3 / 1000,
        "truth_volume_ml": truth_voxels * voxel_mm3 / 1000,
        "volume_error_ml": (voxels - truth_voxels) * voxel_mm3 / 1000,
        "relative_volume_error": _part(abs(voxels - truth_voxels), truth_voxels),
    }


def _part(amount: int, whole: int) -> float | None:
    return amount / whole if whole else None
