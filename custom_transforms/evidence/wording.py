"""Measures in words: their names, what they say, and numbers as a reader writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LONGEST_NAME = 28  # letters of a group's name that fit beside a plot
NOT_DEFINED = "not defined"

# name and what it says, in one half sentence
MEASURES = {
    "auc": ("AUC", "chance that a positive patient gets a higher probability than a negative one; 0.5 is guessing"),
    "average_precision": ("Average precision", "area under precision over recall; the share of positives is guessing"),
    "f1": ("F1", "harmonic mean of sensitivity and positive predictive value"),
    "sensitivity": ("Sensitivity", "share of the positive patients that are found"),
    "specificity": ("Specificity", "share of the negative patients that are called negative"),
    "ppv": ("Positive predictive value", "share of those called positive that are; holds at this test's prevalence"),
    "npv": ("Negative predictive value", "share of those called negative that are; holds at this test's prevalence"),
    "brier": ("Brier score", "mean squared error of the probability; 0 is best"),
    "calibration_slope": ("Calibration slope", "1 is right; below 1 probabilities are too extreme"),
    "calibration_intercept": ("Calibration intercept", "0 is right; below 0 probabilities are too high"),
    "expected_calibration_error": (
        "Expected calibration error",
        "mean distance between probability and observed share; 0 is best",
    ),
    "mean_dice": ("Mean Dice", "overlap of prediction and truth, mean over patients; 1 is best"),
    "mean_dice_with_tumour": ("Mean Dice where there is tumour", "only over patients whose truth has the region"),
    "mean_iou": ("Mean IoU", "intersection over union, mean over patients"),
    "mean_precision": ("Mean precision", "share of what is marked that is tumour, mean over patients"),
    "mean_recall": ("Mean recall", "share of the tumour that is marked, mean over patients"),
    "lesion_sensitivity": ("Lesions found", "share of the true lesions"),
    "mean_false_positive_lesions": ("Invented lesions", "mean number in a patient"),
    "mean_volume_error_ml": ("Mean error of volume, ml", "predicted less true; 0 is best"),
    "median_relative_volume_error": (
        "Median error of volume, relative",
        "size of the error as part of the true volume",
    ),
    "lower_limit_ml": ("Lower limit of agreement, ml", "between the limits lie about 95 % of the errors of volume"),
    "upper_limit_ml": ("Upper limit of agreement, ml", "Bland and Altman"),
    "evidence": ("Evidence map", ""),
    "grad_cam": ("Grad-CAM", ""),
    "area": (
        "Area, deleted along the map",
        "mean probability while a slice is deleted; lower, the more the map matters",
    ),
    "random_area": ("Area, deleted at random", "the same for maps that were moved"),
    "difference": ("Difference", "random less map; above 0 the map matters"),
    "auc_of_other": ("AUC of the other model", ""),
    "auc_difference": ("AUC, this model less the other", "0 is no difference"),
    "median_dice": ("Median Dice", "overlap of prediction and truth, median over patients; 1 is best"),
    "mean_hd95_mm": ("Mean HD95, mm", "95th percentile of the distance between the surfaces; 0 is best"),
    "median_hd95_mm": ("Median HD95, mm", "as above, median over patients; far outliers do not count"),
    "mean_surface_dice": ("Mean surface Dice", "share of the surfaces that lie within the tolerance; 1 is best"),
    "mean_lesion_dice": ("Lesion-wise Dice", "mean over lesions of a patient, missed and invented ones count 0"),
    "mean_lesion_hd95_mm": ("Lesion-wise HD95, mm", "as above, for the distance; missed and invented ones count fully"),
    "pooled_dice": ("Pooled Dice", "over the voxels of all patients together; large tumours dominate"),
    "pooled_iou": ("Pooled IoU", "intersection over union, of all voxels together"),
    "pooled_precision": ("Pooled precision", "share of the voxels marked that are tumour"),
    "pooled_recall": ("Pooled recall", "share of the tumour's voxels that are marked"),
    "pooled_accuracy": ("Pooled accuracy", "near 1 for any small region; says little"),
    "pooled_small_tumour_dice": ("Pooled Dice, small", "over slices whose tumour has fewer than 500 pixels"),
}


def measure_name(name: str) -> str:
    """Name a measure for people: that of the table, or its own with spaces."""
    return MEASURES[name][0] if name in MEASURES else name.replace("_", " ").replace(" mm", ", mm").capitalize()


def number(value: Any, decimals: int = 3) -> str:
    """Write a number, from 100 on with one decimal at most, and `not defined` for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return NOT_DEFINED
    shown = f"{value:.{decimals}f}" if abs(value) < 100 else f"{value:,.1f}"
    return shown.replace("-", "\N{MINUS SIGN}")


def interval(estimate: Mapping[str, Any], decimals: int = 3) -> str:
    """Write an interval as `0.801 to 0.934`, or that there is none."""
    low, high = (number(estimate.get(end), decimals) for end in ("ci_low", "ci_high"))
    return "none" if NOT_DEFINED in (low, high) else f"{low} to {high}"


def in_words(estimate: Mapping[str, Any]) -> str:
    """Write a value with its interval, as `0.873 (95 % interval 0.801 to 0.934)`."""
    value = number(estimate.get("value"))
    return value if value == NOT_DEFINED else f"{value} (95 % interval {interval(estimate)})"


def plain(text: object) -> str:
    """Make a text from a table safe inside a picture: no mathematics, no line breaks, not too long."""
    letters = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    short = letters if len(letters) <= LONGEST_NAME else f"{letters[: LONGEST_NAME - 1]}…"
    return short.replace("$", r"\$")
