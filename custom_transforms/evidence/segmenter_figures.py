"""Draw how well a segmenter marks: Dice and distance by region, Dice over volume, and agreement of volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from custom_transforms.classification import Array
from custom_transforms.evidence.agreement import bland_altman
from custom_transforms.evidence.figure import GREY, Picture, legend_below, new_axes
from custom_transforms.evidence.wording import number, plain
from custom_transforms.pictures import BLACK, BLUE, GREEN, ORANGE, VERMILLION, style_plot

Columns = Mapping[str, Array]  # of one region, each `(P,)`; NaN where a cell is empty
Regions = Mapping[str, Columns]

# told apart by shape too, where a page is printed in grey
MARKERS = (("o", BLUE), ("s", VERMILLION), ("^", GREEN), ("D", ORANGE))
LINEAR_MM = 1.0  # distances below are drawn linearly, since 0 has no logarithm
NUMBERS = ("dice", "hd95_mm", "volume_ml", "truth_volume_ml")


def by_region(rows: Sequence[Mapping[str, str]]) -> dict[str, Columns]:
    """Sort the rows of a segmenter's `patients.csv` into columns by region."""
    names = dict.fromkeys(row["region"] for row in rows)
    return {
        region: {
            name: np.array([float(row.get(name) or "nan") for row in rows if row["region"] == region])
            for name in NUMBERS
        }
        for region in names
    }


def draw_segmenter(rows: Sequence[Mapping[str, str]]) -> list[Picture]:
    """Draw all pictures that the table has the columns for.

    Args:
        rows: of `patients.csv`, one a patient and region.
    """
    regions = by_region(rows)
    pictures = [draw_boxes(regions, "dice", title="Dice by region", unit="Dice")]
    if _measured(regions, "hd95_mm"):
        title, unit = "Distance of the surfaces by region", "95th percentile of distance (HD95), mm"
        pictures.append(draw_boxes(regions, "hd95_mm", title=title, unit=unit))
    if _measured(regions, "truth_volume_ml"):
        pictures.append(draw_dice_over_volume(regions))
        if _measured(regions, "volume_ml"):
            pictures += [draw_agreement(name, columns) for name, columns in regions.items()]
    return pictures


def draw_boxes(regions: Regions, column: str, *, title: str, unit: str) -> Picture:
    """Draw a box for each region, from quartile to quartile, with each patient as a point."""
    figure, axes = new_axes()
    measured = {name: _finite(columns[column]) for name, columns in regions.items()}
    style: dict[str, Any] = {"color": BLACK, "linewidth": 1.2}
    axes.boxplot(
        list(measured.values()), widths=0.5, showfliers=False, medianprops={"color": BLACK, "linewidth": 2.4},
        boxprops=style, whiskerprops=style, capprops=style,
    )  # fmt: skip
    for place, (values, (marker, colour)) in enumerate(zip(measured.values(), _markers(regions), strict=True), start=1):
        beside = place + np.random.default_rng(88).uniform(-0.18, 0.18, len(values))
        axes.plot(beside, values, marker, color=colour, alpha=0.6, markersize=5, markeredgewidth=0)
    style_plot(axes, title=title, x_label="", y_label=unit)
    axes.set_xticks(
        range(1, len(measured) + 1), [f"{plain(name)}\n{len(part)} patients" for name, part in measured.items()]
    )
    if column == "dice":
        axes.set_ylim(-0.02, 1.02)
    else:
        _logarithmic(axes, max([part.max() for part in measured.values() if part.size], default=1.0))
    axes.grid(visible=False, axis="x")
    words = [
        f"{name}: median {number(np.median(part))}, quartiles {number(np.quantile(part, 0.25))} and "
        f"{number(np.quantile(part, 0.75))}, lowest {number(part.min())}, highest {number(part.max())}"
        for name, part in measured.items()
        if part.size
    ]
    caption = "Each point is a patient. The box holds the middle half, the thick line is the median."
    return Picture(f"boxes_{column}", title, caption, "; ".join(words) + ".", figure)


def draw_dice_over_volume(regions: Regions) -> Picture:
    """Draw Dice over the true volume on a logarithmic axis; patients without the region have no place on it."""
    figure, axes = new_axes()
    absent, words = 0, []
    for (name, columns), (marker, colour) in zip(regions.items(), _markers(regions), strict=True):
        there = columns["truth_volume_ml"] > 0
        absent += int((columns["truth_volume_ml"] == 0).sum())
        volumes, dice = columns["truth_volume_ml"][there], columns["dice"][there]
        style: dict[str, Any] = {"color": colour, "markersize": 6, "alpha": 0.7, "markeredgewidth": 0}
        axes.plot(volumes, dice, marker, label=plain(name), **style)
        if there.any():
            smaller, larger = dice[volumes <= np.median(volumes)], dice[volumes > np.median(volumes)]
            larger = larger if larger.size else smaller
            words.append(
                f"{name}: mean Dice {smaller.mean():.2f} of the smaller half, {larger.mean():.2f} of the larger"
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_ylim(-0.02, 1.02)
    left_out = f" ({absent} without the region left out)" if absent else ""
    title = "Dice over the size of the tumour"
    style_plot(axes, title=title, x_label=f"true volume, ml, logarithmic{left_out}", y_label="Dice")
    legend_below(figure, columns=len(regions))
    caption = "Each point is a patient and region. The same error at the rim costs a small tumour more Dice."
    return Picture("dice_over_volume", title, caption, "; ".join(words) + ".", figure)


def draw_agreement(region: str, columns: Columns) -> Picture:
    """Draw difference over mean of predicted and true volume, with bias and limits; see `bland_altman`."""
    figure, axes = new_axes()
    known = np.isfinite(columns["volume_ml"]) & np.isfinite(columns["truth_volume_ml"])
    found, truth = columns["volume_ml"][known], columns["truth_volume_ml"][known]
    difference = found - truth
    axes.plot((found + truth) / 2, difference, "o", color=BLUE, alpha=0.7, markersize=5, markeredgewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.8)
    title = f"Agreement of volume, {region}"
    words = f"{len(difference)} patients: too few for limits of agreement."
    if len(difference) > 1:
        bias, low, high = (part["value"] for part in bland_altman(found, truth).values())  # type: ignore[index]
        axes.axhline(bias, color=BLACK, linewidth=1.8, label=f"mean difference {number(bias, 2)} ml")
        limits = f"95 % limits of agreement {number(low, 2)} to {number(high, 2)} ml"
        axes.axhline(low, color=VERMILLION, linewidth=1.5, linestyle="--", label=limits)
        axes.axhline(high, color=VERMILLION, linewidth=1.5, linestyle="--")
        words = f"Predicted less true volume: mean {number(bias, 2)} ml, {limits}, {len(difference)} patients."
        legend_below(figure)
    labels = {"x_label": "mean of predicted and true volume, ml", "y_label": "predicted less true volume, ml"}
    style_plot(axes, title=f"Agreement of volume, {plain(region)}", **labels)
    caption = "Bland and Altman: each point is a patient; between the dashed lines lie about 95 % of them."
    return Picture(f"agreement_{'_'.join(region.lower().split())}", title, caption, words, figure)


def _markers(regions: Regions) -> list[tuple[str, str]]:
    return [MARKERS[place % len(MARKERS)] for place in range(len(regions))]


def _measured(regions: Regions, column: str) -> bool:
    return any(np.isfinite(columns[column]).any() for columns in regions.values())


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]


def _logarithmic(axes: Axes, highest_mm: float) -> None:
    axes.set_yscale("symlog", linthresh=LINEAR_MM, linscale=0.3)
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000) if tick <= 3 * highest_mm]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(-0.25, 1.3 * max(highest_mm, LINEAR_MM))
