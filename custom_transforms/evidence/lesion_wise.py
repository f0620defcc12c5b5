"""Compare a segmentation with the truth lesion by lesion, by the rules of the BraTS 2023 challenges.

The rules of `eval.py` of github.com/rachitsaluja/BraTS-2023-Metrics at commit 0e272e6, the challenges' program:

1. A region's truth is dilated `dilation_voxels` times with the 18-neighbourhood, and the dilated mask falls into
   components of 26-neighbours. What lies in one such component is one lesion: what is nearer counts as one.
2. The prediction falls into components of 26-neighbours, without dilation.
3. To a lesion belong all components of the prediction that touch this lesion, dilated alone. One may belong to several.
4. The lesion's Dice and HD95 compare all of these together with the lesion, undilated. Without any it is missed: Dice
   0, HD95 the penalty.
5. A component that belongs to no lesion is a false positive, however small: Dice 0, HD95 the penalty.
6. Lesions of at most `min_volume_mm3` are not counted; what belongs to them is not a false positive either.
7. The patient's score is the mean over counted lesions and false positives; with neither, Dice 1 and HD95 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, generate_binary_structure, label

from custom_transforms.evidence.tumour_table import FALSE_POSITIVE, FOUND, MISSED
from custom_transforms.tumour_surfaces import Mask, Spacing, cut_to_both, hausdorff95_by_area_mm

NEIGHBOURS_18, NEIGHBOURS_26 = generate_binary_structure(3, 2), generate_binary_structure(3, 3)

Labels = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class LesionRules:
    """What the challenges choose for each disease.

    Attributes:
        dilation_voxels: 3 for glioma (GLI, SSA, PED), 1 for meningioma (MEN) and metastases (MET); on 1 mm voxels.
        min_volume_mm3: 50, for metastases 2; a lesion of this volume or less is not counted.
        penalty_mm: HD95 of a missed lesion and of a false positive, about the diagonal of BraTS's volumes.

    Raises:
        ValueError: a negative number, or a dilation that is not whole.
    """

    dilation_voxels: int = 3
    min_volume_mm3: float = 50
    penalty_mm: float = 374

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.dilation_voxels != int(self.dilation_voxels) or self.dilation_voxels < 0:
            raise ValueError(f"dilation_voxels: expected a whole number from 0, got {self.dilation_voxels}")
        if self.min_volume_mm3 < 0 or self.penalty_mm < 0:
            raise ValueError(f"lesion rules: expected volume and penalty from 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """A lesion of the truth, or a component of the prediction that belongs to none.

    Attributes:
        volume_ml: of the lesion in the truth, or of the false positive.
        dice: 0..1.
        hd95_mm: weighed by area.
        found: `found`, `missed` or `false positive`.
        counted: whether it is large enough for the patient's score.
    """

    volume_ml: float
    dice: float
    hd95_mm: float
    found: str
    counted: bool


def compare_lesions(pred: Mask, truth: Mask, *, spacing_mm: Spacing, rules: LesionRules) -> list[Lesion]:
    """Compare the lesions of one region.

    Args:
        pred: prediction `(X, Y, S)`.
        truth: the same shape.
        spacing_mm: voxel size along X, Y, S.
        rules: the challenge's choices.

    Returns:
        the lesions of the truth, then the false positives; none where both masks are empty.
    """
    pred, truth = cut_to_both(pred, truth, margin=int(rules.dilation_voxels))
    if not pred.size:
        return []
    voxel_mm3 = float(np.prod(spacing_mm))
    parts, count = label(pred, NEIGHBOURS_26)
    of_no_lesion = np.arange(count + 1) > 0
    lesions = []
    for lesion, belongs in _lesions(truth, parts, count, rules):
        of_no_lesion &= ~belongs
        volume_mm3 = int(lesion.sum()) * voxel_mm3
        found = bool(belongs.any())
        dice, hd95_mm = _compare(belongs[parts], lesion, spacing_mm) if found else (0.0, float(rules.penalty_mm))
        lesions.append(
            Lesion(
                volume_ml=volume_mm3 / 1000,
                dice=dice,
                hd95_mm=hd95_mm,
                found=FOUND if found else MISSED,
                counted=volume_mm3 > rules.min_volume_mm3,
            )
        )
    volumes_ml = np.bincount(parts.ravel(), minlength=count + 1)[of_no_lesion] * voxel_mm3 / 1000
    penalty = float(rules.penalty_mm)
    return lesions + [
        Lesion(volume_ml=float(volume_ml), dice=0.0, hd95_mm=penalty, found=FALSE_POSITIVE, counted=True)
        for volume_ml in volumes_ml
    ]


def lesion_wise_scores(lesions: Sequence[Lesion]) -> tuple[float, float]:
    """Mean Dice, 0..1, and HD95 in mm over a patient's lesions and false positives; 1 and 0 without any (rule 7)."""
    counted = [(lesion.dice, lesion.hd95_mm) for lesion in lesions if lesion.counted]
    dice, hd95_mm = np.mean(counted, axis=0) if counted else (1.0, 0.0)
    return float(dice), float(hd95_mm)


def _lesions(truth: Mask, parts: Labels, count: int, rules: LesionRules) -> list[tuple[Mask, Mask]]:
    """Give each lesion, `(X, Y, S)`, with which of the prediction's `count` parts belong to it, `(1 + count,)`."""
    dilated, _ = label(_dilated(truth, rules), NEIGHBOURS_26)
    found = []
    for number, box in enumerate(find_objects(dilated), start=1):
        lesion = (dilated == number) & truth
        touched = np.unique(parts[box][_dilated(lesion[box], rules)])  # the box holds all of the dilated lesion
        belongs = np.isin(np.arange(count + 1), touched)
        belongs[0] = False
        found.append((lesion, belongs))
    return found


def _dilated(mask: Mask, rules: LesionRules) -> Mask:
    times = int(rules.dilation_voxels)  # of 0, scipy would make "until nothing changes"
    return np.asarray(binary_dilation(mask, NEIGHBOURS_18, iterations=times)) if times else mask


def _compare(pred: Mask, lesion: Mask, spacing_mm: Spacing) -> tuple[float, float]:
    dice = 2 * int((pred & lesion).sum()) / (int(pred.sum()) + int(lesion.sum()))
    return dice, hausdorff95_by_area_mm(pred, lesion, spacing_mm=spacing_mm)
