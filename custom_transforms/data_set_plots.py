"""Draw what a data set holds, from the counts of `custom_transforms.data_set_statistics`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from custom_transforms.data_set_statistics import (
    MEDIUM_PIXELS,
    POSITIONS,
    SMALL_PIXELS,
    DataSetStatistics,
    ExampleSlice,
)
from custom_transforms.mri_study import MODALITIES
from custom_transforms.pictures import (
    BLUE,
    LABEL_POINTS,
    ORANGE,
    REGION_NAMES,
    TICK_POINTS,
    TISSUE_COLOURS,
    TITLE_POINTS,
    VERMILLION,
    add_axial_legend,
    radiological_view,
    save_picture,
    show_axial,
    style_plot,
)

GREY = "0.6"
AREA_BINS = 40
VOLUME_BINS = 20
PANEL_INCHES = 2.3


def draw_data_set(statistics: DataSetStatistics) -> dict[str, Figure]:
    """Draw all figures, by name.

    Raises:
        ValueError: there is no tumour to draw.
    """
    if not statistics.examples:
        raise ValueError(f"data set: expected a slice with {statistics.region}, got none")
    return {
        "class_balance": draw_class_balance(statistics),
        "tumour_sizes": draw_tumour_sizes(statistics),
        "tumour_position": draw_tumour_position(statistics),
        "examples": draw_examples(statistics),
    }


def save_figures(figures: dict[str, Figure], folder: Path) -> None:
    """Save each figure as `<name>.png`."""
    for name, figure in figures.items():
        save_picture(figure, folder / f"{name}.png")


def draw_class_balance(statistics: DataSetStatistics) -> Figure:
    """Draw how many slices have tumour, and how many voxels each tissue has."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    with_tumour = len(statistics.tumour_areas_pixels)
    slices = {"no tumour": len(statistics.areas_pixels) - with_tumour, "tumour": with_tumour}
    _bars(left, slices, [GREY, VERMILLION])
    title = f"Slices with {REGION_NAMES[statistics.region]}, {len(statistics.tumour_ml)} patients"
    style_plot(left, title=title, x_label="axial slices", y_label="")
    tissues = dict(statistics.tissue_voxels)
    healthy = statistics.brain_voxels - sum(tissues.values())
    _bars(right, {"other brain": healthy, **tissues}, [GREY, *(TISSUE_COLOURS.get(name, BLUE) for name in tissues)])
    style_plot(right, title="Voxels by tissue", x_label="voxels, logarithmic", y_label="")
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
    right.set_xscale("log")
    right.set_xlim(1, 100 * statistics.brain_voxels)  # room for the words beside the longest bar
    return figure


def draw_tumour_sizes(statistics: DataSetStatistics) -> Figure:
    """Draw tumour areas of slices, with the limits of small and medium, and tumour volumes of patients."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    areas = statistics.tumour_areas_pixels
    left.hist(areas, bins=AREA_BINS, color=BLUE)
    for limit, colour in ((SMALL_PIXELS, ORANGE), (MEDIUM_PIXELS, VERMILLION)):
        label = f"{(areas < limit).mean():.0%} below {limit:,} pixels"
        left.axvline(limit, color=colour, linewidth=2, linestyle="--", label=label)
    left.legend(fontsize=TICK_POINTS, frameon=False)
    title = f"Area of {REGION_NAMES[statistics.region]} in {len(areas):,} tumour slices"
    style_plot(left, title=title, x_label="area in pixels", y_label="axial slices")
    volumes_ml = np.array(list(statistics.tumour_ml.values()))
    right.hist(volumes_ml, bins=VOLUME_BINS, color=BLUE)
    median_ml = float(np.median(volumes_ml))
    right.axvline(median_ml, color="black", linewidth=2, linestyle="--", label=f"median {median_ml:.1f} ml")
    right.legend(fontsize=TICK_POINTS, frameon=False)
    title = f"Volume of {REGION_NAMES[statistics.region]} in {len(volumes_ml):,} patients"
    style_plot(right, title=title, x_label="volume in ml", y_label="patients")
    for axes in (left, right):
        axes.set_xlim(left=0)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_tumour_position(statistics: DataSetStatistics) -> Figure:
    """Draw how likely a slice has tumour, by its position between the lowest and the highest slice with brain."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(0, 1, POSITIONS + 1)
    axes.stairs(np.nan_to_num(statistics.tumour_probability), edges, fill=True, color=BLUE)
    axes.axvspan(1 / 3, 2 / 3, color=ORANGE, alpha=0.2, linewidth=0, zorder=0, label="middle third")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.legend(fontsize=TICK_POINTS, frameon=False, loc="upper right")
    style_plot(
        axes,
        title=f"Probability of {REGION_NAMES[statistics.region]} in a slice",
        x_label="position of the slice, 0 = lowest with brain, 1 = highest",
        y_label="slices with tumour",
    )
    return figure


def draw_examples(statistics: DataSetStatistics) -> Figure:
    """Draw the four modalities, and the labels over FLAIR, of the slice of each example with most tumour."""
    examples = statistics.examples
    size = (PANEL_INCHES * (len(MODALITIES) + 1), PANEL_INCHES * 1.2 * len(examples) + 0.8)
    figure = Figure(figsize=size, layout="compressed")
    panels = figure.subplots(len(examples), len(MODALITIES) + 1, squeeze=False)
    for example, row in zip(examples, panels, strict=True):
        for channel, axes in enumerate(row[:-1]):
            _show(axes, example, channel)
        _show(row[-1], example, 0)
        _show_tissues(row[-1], example)
        row[0].set_ylabel(f"{example.case}\nslice {example.slice_index + 1}", fontsize=TICK_POINTS)
    for axes, name in zip(panels[0], (*MODALITIES, "label on FLAIR"), strict=True):
        axes.set_title(name, fontsize=TITLE_POINTS)
    tissues = dict.fromkeys(name for example in examples for name in example.tissues)
    handles = [Patch(color=TISSUE_COLOURS.get(name, BLUE), label=name) for name in tissues]
    add_axial_legend(figure, handles, columns=len(tissues))
    return figure


def _bars(axes: Axes, counts: dict[str, int], colours: list[str]) -> None:
    total = max(sum(counts.values()), 1)
    bars = axes.barh(list(counts), list(counts.values()), color=colours)
    words = [f"{count:,} ({count / total:.1%})" for count in counts.values()]
    axes.bar_label(bars, words, padding=4, fontsize=LABEL_POINTS)
    axes.margins(x=0.35)  # room for the words beside the longest bar
    axes.invert_yaxis()


def _show(axes: Axes, example: ExampleSlice, channel: int) -> None:
    window = example.windows[channel]
    show_axial(axes, example.image[channel], example.inside, window=window, aspect=example.aspect)


def _show_tissues(axes: Axes, example: ExampleSlice) -> None:
    colours = np.zeros((*example.inside.shape, 4))
    for name, mask in example.tissues.items():
        colours[mask] = to_rgba(TISSUE_COLOURS.get(name, BLUE), 0.6)
    axes.imshow(radiological_view(colours), aspect=example.aspect, interpolation="nearest")
