"""Sort a segmenter's measures into tables that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Metrics = dict[str, Any]
TABLES = {
    "Overlap": (
        "mean_dice",
        "mean_dice_with_tumour",
        "median_dice",
        "mean_iou",
        "mean_precision",
        "mean_recall",
    ),
    "Surfaces": ("mean_surface_dice", "mean_hd95_mm", "median_hd95_mm"),
    "Lesions": ("mean_lesion_dice", "mean_lesion_hd95_mm", "lesion_sensitivity", "mean_false_positive_lesions"),
    "Volume": ("mean_volume_error_ml", "median_relative_volume_error", "lower_limit_ml", "upper_limit_ml"),
}
OTHERS = "All voxels together, and others"
LIMITS = ("lower_limit", "upper_limit")  # of agreement; the bias is the mean error of volume


def region_tables(regions: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Metrics]]:
    """Sort the estimates of regions into tables.

    Args:
        regions: of `metrics.json`: estimates by name, and perhaps `bland_altman`, which holds three.

    Returns:
        by title of a table, and by region, the estimates by name; no table without any.
    """
    flat = {region: _flat(metrics) for region, metrics in regions.items()}
    known = {name for names in TABLES.values() for name in names}
    others = tuple(dict.fromkeys(name for metrics in flat.values() for name in metrics if name not in known))
    tables = {
        title: {region: {name: metrics[name] for name in names if name in metrics} for region, metrics in flat.items()}
        for title, names in {**TABLES, OTHERS: others}.items()
    }
    return {title: table for title, table in tables.items() if any(table.values())}


def strata_tables(strata: Sequence[Metrics]) -> list[list[Metrics]]:
    """Put strata together that have the same measures: slices with a small tumour, and lesions by volume."""
    tables: dict[tuple[str, ...], list[Metrics]] = {}
    for stratum in strata:
        tables.setdefault(tuple(stratum.get("metrics", {})), []).append(stratum)
    return list(tables.values())


def _flat(metrics: Mapping[str, Any]) -> Metrics:
    agreement = metrics.get("bland_altman", {})
    limits = {f"{name}_ml": agreement[name] for name in LIMITS if name in agreement}
    return {name: found for name, found in metrics.items() if name != "bland_altman"} | limits
