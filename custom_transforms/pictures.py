"""What all pictures share: colours, grey window, the side on which the patient's right is drawn, and saving."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from custom_transforms.atomic_file import whole_file

# Told apart with any colour vision (Okabe and Ito, "Color Universal Design", 2008).
BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
REGION_NAMES = {
    "WT": "whole tumour (WT)",
    "TC": "tumour core (TC)",
    "necrotic core": "necrotic core",
    "ET": "enhancing tumour (ET)",
}
REGION_COLOURS = {"WT": SKY_BLUE, "TC": VERMILLION, "necrotic core": PURPLE, "ET": YELLOW}
TISSUE_COLOURS = {
    "oedema": SKY_BLUE,
    "necrotic core": PURPLE,
    "enhancing tumour": YELLOW,
    "resection cavity": GREEN,
}

CONVENTION = "R = patient's right, on the left of the picture; anterior up"
DOTS_PER_INCH = 150
PNG_LEVEL = 3  # of zlib: half the time of the default, 6, and no larger file of slices
MARGIN_PIXELS = 4
TITLE_POINTS, LABEL_POINTS, TICK_POINTS = 12, 10, 9


def radiological_view(axial: NDArray[Any]) -> NDArray[Any]:
    """Turn an axial slice to the way radiologists look at it, from the feet.

    Args:
        axial: `(X, Y)` or `(X, Y, C)`, first axis towards the patient's right, second towards the front (RAS).

    Returns:
        `(Y, X)` or `(Y, X, C)`: first row most anterior, first column the patient's rightmost.
    """
    return axial[::-1, ::-1].swapaxes(0, 1)


def grey_window(volume: NDArray[Any], inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the values shown as black and white: 1st and 99.5th percentile inside the brain.

    Bright vessels and single voxels would else leave the tissue dark.

    Args:
        volume: one modality, any shape and unit.
        inside: same shape, True in the brain.
    """
    values = volume[inside]
    if values.size == 0:
        return 0.0, 1.0
    black, white = np.percentile(values, (1, 99.5))
    return float(black), float(max(white, black + 1e-6))


def brain_box(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the part of axial slices that has brain in any slice, with a margin.

    Args:
        inside: `(X, Y, S)`, True in the brain.
    """
    used_x, used_y = (np.flatnonzero(inside.any(axis=others)) for others in ((1, 2), (0, 2)))
    if used_x.size == 0:
        return slice(None), slice(None)
    start_x, start_y = (max(0, int(used[0]) - MARGIN_PIXELS) for used in (used_x, used_y))
    return slice(start_x, int(used_x[-1]) + MARGIN_PIXELS + 1), slice(start_y, int(used_y[-1]) + MARGIN_PIXELS + 1)


def pixel_aspect(affine: NDArray[Any]) -> float:
    """Return how much longer a voxel is from back to front than from left to right, from its RAS affine `(4, 4)`."""
    width_mm, length_mm, _ = np.linalg.norm(affine[:3, :3], axis=0)
    return float(length_mm / width_mm)


def show_axial(
    axes: Axes,
    axial: NDArray[Any],
    inside: NDArray[np.bool_],
    *,
    window: tuple[float, float],
    aspect: float = 1.0,
) -> None:
    """Draw one axial slice in grey, air black, with a mark on the patient's right.

    Args:
        axes: where to draw.
        axial: `(X, Y)` in RAS.
        inside: `(X, Y)`, False in air. In z-scored images air is 0, the brain's mean, and would be drawn grey.
        window: values of black and white.
        aspect: see `pixel_aspect`.
    """
    black, white = window
    grey = np.where(inside, axial, black)
    axes.imshow(radiological_view(grey), cmap="gray", vmin=black, vmax=white, aspect=aspect)
    axes.text(0.03, 0.97, "R", color="white", fontsize=LABEL_POINTS, transform=axes.transAxes, va="top")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def add_axial_legend(figure: Figure, handles: Sequence[Artist], *, columns: int) -> None:
    """Explain colours and sides below a figure of axial slices."""
    figure.legend(
        handles=handles,
        ncols=columns,
        title=CONVENTION,
        loc="outside lower center",
        fontsize=LABEL_POINTS,
        title_fontsize=LABEL_POINTS,
        frameon=False,
    )


def style_plot(axes: Axes, *, title: str, x_label: str, y_label: str) -> None:
    """Give a plot its words, and take away the lines that carry nothing."""
    axes.set_title(title, fontsize=TITLE_POINTS, loc="left")
    axes.set_xlabel(x_label, fontsize=LABEL_POINTS)
    axes.set_ylabel(y_label, fontsize=LABEL_POINTS)
    axes.tick_params(labelsize=TICK_POINTS)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def save_picture(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with whole_file(path) as file:
        file.write_bytes(picture_bytes(figure))


def picture_bytes(figure: Figure) -> bytes:
    """Draw a figure as a PNG.

    A canvas of its own keeps the figure out of pyplot's register, where figures stay in memory until closed.
    `Figure.savefig` would write the same pixels, but draw them twice.
    """
    figure.set_dpi(DOTS_PER_INCH)
    drawn = io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    canvas.print_png(drawn, pil_kwargs={"compress_level": PNG_LEVEL})  # type: ignore[no-untyped-call]
    return drawn.getvalue()
