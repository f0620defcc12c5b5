"""Draw a patient's most suspicious slices beside the maps that say where in them the network looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from custom_transforms.deletion import Mask, Slice, spread
from custom_transforms.pictures import LABEL_POINTS, TICK_POINTS, TITLE_POINTS, VERMILLION, add_axial_legend, brain_box

COLUMNS = ("slice", "evidence map", "Grad-CAM")
SCALES = ("probability by the head\nat each position", "share of the highest\nGrad-CAM in this picture")
COLOURS = "viridis"  # even in lightness, so that it reads the same with any colour vision and in grey
STRONGEST = 0.5  # opacity of the highest value; 0 leaves the slice as it is
OUTLINED_PERCENT = 10  # of the brain
PANEL_INCHES = 2.6


@dataclass(frozen=True)
class SalientSlice:
    """A slice and its maps.

    Args:
        number: of the slice, from 0 at the feet.
        prob: of the slice, 0..1.
        window: `(H, W)`, 0..1 between the window's bounds, 0 outside the brain; rows to the patient's back, columns
            to the left.
        evidence: probability at each position, 0..1, `(h, w)`.
        grad_cam: 0 and above, `(h, w)`.
    """

    number: int
    prob: float
    window: Slice
    evidence: Slice
    grad_cam: Slice


def draw_saliency(slices: Sequence[SalientSlice], *, title: str) -> Figure:
    """Draw a row for each slice: in its window, under the evidence map, and under Grad-CAM.

    Args:
        slices: at least one, in the order of the rows.
        title: the figure's heading, such as the row id.

    Returns:
        a figure that pyplot does not know. The evidence map has one scale in all pictures; Grad-CAM, which has no
        unit, is scaled to the highest value in this one.
    """
    box = brain_box(np.stack([each.window > 0 for each in slices], axis=-1))
    highest = max(float(each.grad_cam.max()) for each in slices) or 1.0
    size = (PANEL_INCHES * len(COLUMNS) + 0.6, PANEL_INCHES * len(slices) + 2.0)
    figure = Figure(figsize=size, layout="compressed")
    panels = figure.subplots(len(slices), len(COLUMNS), squeeze=False)
    for row, each in zip(panels, slices, strict=True):
        _show(row[0], each.window[box])
        for axes, coarse in zip(row[1:], (each.evidence, each.grad_cam / highest), strict=True):
            _show(axes, each.window[box])
            _lay_over(axes, spread(coarse, (each.window.shape[0], each.window.shape[1]))[box], each.window[box] > 0)
        row[0].set_ylabel(f"slice {each.number}\np {each.prob:.2f}", fontsize=LABEL_POINTS)
    for axes, name in zip(panels[0], COLUMNS, strict=True):
        axes.set_title(name, fontsize=LABEL_POINTS)
    for column, words in enumerate(SCALES, start=1):
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), COLOURS), ax=panels[:, column], location="bottom", shrink=0.8
        )
        bar.set_label(words, fontsize=TICK_POINTS)
        bar.ax.tick_params(labelsize=TICK_POINTS)
    outlined = Line2D(
        [], [], color=VERMILLION, label=f"the {OUTLINED_PERCENT} % of the brain that the map ranks highest"
    )
    add_axial_legend(figure, [outlined], columns=1)
    figure.suptitle(title, fontsize=TITLE_POINTS)
    return figure


def _show(axes: Axes, window: Slice) -> None:
    axes.imshow(window, cmap="gray", vmin=0, vmax=1)
    axes.text(0.03, 0.97, "R", color="white", fontsize=LABEL_POINTS, transform=axes.transAxes, va="top")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _lay_over(axes: Axes, shown: Slice, brain: Mask) -> None:
    """Colour a slice by its map, both `(H, W)`, and outline where it is highest."""
    axes.imshow(shown, cmap=COLOURS, vmin=0, vmax=1, alpha=STRONGEST * shown.clip(0, 1) * brain)
    lowest, least = shown[brain].min(), np.percentile(shown[brain], 100 - OUTLINED_PERCENT)
    if least > lowest:
        axes.contour(brain & (shown >= least), levels=[0.5], colors=VERMILLION, linewidths=1.2)
    else:
        axes.text(0.5, 0.03, "the same all over", color="white", fontsize=TICK_POINTS, transform=axes.transAxes,
                  ha="center")  # fmt: skip
