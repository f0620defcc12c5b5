"""Draw every slice of a head CT with the brain mask, what was dropped and why, and what the network found."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from custom_transforms.pictures import ORANGE, SKY_BLUE, TITLE_POINTS, YELLOW, add_axial_legend

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]

WHITE = 1.0
WINDOW_HU = (0.0, 80.0)  # level 40, width 80: what the network sees
HEAD_HU = -200.0  # skin is above, air and foam pads are below
DIMMED = 0.35  # brightness of a dropped slice
COLUMNS = 8
TILE_INCHES, TILE_PIXELS = 1.3, 200
GAP = 4  # pixels between tiles
FRAME_POINTS = 2.5
WORD_POINTS, WORD_LETTERS = 7, 24  # letters in a line of a reason


@dataclass(frozen=True)
class ShownStudy:
    """A head CT and what is known of its slices, which are numbered from 0 at the feet.

    Args:
        hu: `(S, R, C)` Hounsfield units; rows run to the patient's back, columns to the left, slices to the head.
        brain: `(S, R, C)`, True in the brain.
        spacing_mm: from row to row, and from column to column.
        dropped: slice to the reason why the network did not see it.
        slice_prob: slice to the probability of metastasis, 0..1.
        carrying: slices to frame, those that carry the patient's probability.
        region: `(S, R, C)`, True where the image looks suspicious.

    Raises:
        ValueError: shapes differ.
    """

    hu: NDArray[np.float32]
    brain: Mask
    spacing_mm: tuple[float, float]
    dropped: Mapping[int, str] = field(default_factory=dict)
    slice_prob: Mapping[int, float] = field(default_factory=dict)
    carrying: tuple[int, ...] = ()
    region: Mask | None = None

    def __post_init__(self) -> None:
        """Check that masks lie on the volume's grid."""
        for name, mask in (("brain", self.brain), ("region", self.region)):
            if mask is not None and mask.shape != self.hu.shape:
                raise ValueError(f"{name}: expected shape {self.hu.shape}, got {mask.shape}")


@dataclass(frozen=True)
class _Mosaic:
    """Slices side by side in one image, which is drawn ten times as fast as a plot for each."""

    count: int
    columns: int
    height: int  # of a tile in pixels, without the gap; so is the width
    width: int

    @property
    def rows(self) -> int:
        return math.ceil(self.count / self.columns)

    def corner(self, number: int) -> tuple[int, int]:
        """Return column and row of a tile's first pixel."""
        row, column = divmod(number, self.columns)
        return column * (self.width + GAP), row * (self.height + GAP)

    def join(self, slices: NDArray[Any], empty: float) -> NDArray[Any]:
        """Put `(S, height, width)` side by side, with `empty` in the gaps."""
        shape = (self.rows * self.columns, self.height + GAP, self.width + GAP)
        tiles = np.full(shape, empty, slices.dtype)
        tiles[: self.count, : self.height, : self.width] = slices
        grid = tiles.reshape(self.rows, self.columns, *shape[1:]).swapaxes(1, 2)
        return grid.reshape(self.rows * shape[1], self.columns * shape[2])[:-GAP, :-GAP]


def draw_slices(study: ShownStudy, *, title: str = "") -> Figure:
    """Draw all slices, feet first, in radiological convention and with their true proportions.

    Each has its number, the brain mask's outline, and its probability; a dropped one is dark, with the reason.

    Args:
        study: what to draw.
        title: the figure's heading, such as the case's name.

    Returns:
        a figure that pyplot does not know.
    """
    row_mm, column_mm = study.spacing_mm
    box = _head_box(study.hu)
    grey = _blocks(_grey(study), box).mean(axis=(2, 4))
    count, height, width = grey.shape
    mosaic = _Mosaic(count, min(COLUMNS, count), height, width)
    tile_inches = TILE_INCHES * height * row_mm / (width * column_mm)
    size = (max(TILE_INCHES * mosaic.columns, 6), tile_inches * mosaic.rows + 0.9)  # room for the words
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    image = mosaic.join(grey, WHITE)
    axes.imshow(image, cmap="gray", vmin=0, vmax=WHITE, aspect=row_mm / column_mm, interpolation="bilinear")
    axes.autoscale(enable=False)  # frames would else widen the axes
    _outline(axes, study, box, mosaic)
    for number in range(count):
        _write_words(axes, study, number, mosaic)
    for number in study.carrying:
        corner = mosaic.corner(number)
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=YELLOW, linewidth=FRAME_POINTS))
    _add_legend(figure, study)
    heading = f"{WINDOW_HU[0]:g} to {WINDOW_HU[1]:g} HU, slices numbered from 0 at the feet"
    figure.suptitle(f"{title}: {heading}" if title else heading, fontsize=TITLE_POINTS)
    return figure


def _head_box(hu: NDArray[np.float32]) -> Box:
    """Return the rows and columns that are not air in all slices."""
    head = np.asarray((hu > HEAD_HU).any(axis=0))
    if not head.any():
        return slice(0, hu.shape[1]), slice(0, hu.shape[2])
    rows, columns = (np.flatnonzero(np.asarray(head.any(axis=axis))) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _grey(study: ShownStudy) -> NDArray[np.float32]:
    """Return the windowed volume `(S, R, C)` in 0..1, dropped slices dark."""
    black, white = WINDOW_HU
    grey = ((study.hu - black) / (white - black)).clip(0, 1)
    grey[list(study.dropped)] *= DIMMED
    return grey


def _blocks(volume: NDArray[Any], box: Box) -> NDArray[Any]:
    """Cut the box into blocks that make pixels of a tile, as a view `(S, H, block, W, block)`.

    More pixels than the picture has would only cost time. An edge of less than a block is left out; it is air.
    """
    rows, columns = box
    block = max(1, (columns.stop - columns.start) // TILE_PIXELS)
    height, width = ((side.stop - side.start) // block for side in box)
    cut = volume[:, rows.start : rows.start + height * block, columns.start : columns.start + width * block]
    return cut.reshape(len(volume), height, block, width, block)


def _any(blocks: Mask) -> Mask:
    """Tell which blocks `(S, H, block, W, block)` hold a True, `(S, H, W)`; along short axes numpy's own is slow."""
    found = np.zeros(np.delete(blocks.shape, (2, 4)), dtype=bool)
    for row, column in np.ndindex(blocks.shape[2], blocks.shape[4]):
        found |= blocks[:, :, row, :, column]
    return found


def _outline(axes: Axes, study: ShownStudy, box: Box, mosaic: _Mosaic) -> None:
    for mask, colour, points in ((study.brain, SKY_BLUE, 0.6), (study.region, ORANGE, 1.0)):
        if mask is not None and mask.any():
            axes.contour(mosaic.join(_any(_blocks(mask, box)), False), levels=[0.5], colors=colour, linewidths=points)


def _write_words(axes: Axes, study: ShownStudy, number: int, mosaic: _Mosaic) -> None:
    left, top = mosaic.corner(number)
    margin = 0.03 * mosaic.width
    right, bottom = left + mosaic.width - margin, top + mosaic.height - margin
    style: dict[str, Any] = {"color": "white", "fontsize": WORD_POINTS}
    axes.text(left + margin, top + margin, "R", ha="left", va="top", **style)
    axes.text(right, top + margin, str(number), ha="right", va="top", **style)
    if number in study.dropped:
        reason = textwrap.fill(study.dropped[number].replace("_", " "), WORD_LETTERS, max_lines=2, placeholder=" …")
        axes.text(left + mosaic.width / 2, bottom, reason, ha="center", va="bottom", **style)
    elif number in study.slice_prob:
        axes.text(right, bottom, f"p {study.slice_prob[number]:.2f}", ha="right", va="bottom", **style)


def _add_legend(figure: Figure, study: ShownStudy) -> None:
    handles: list[Artist] = [Line2D([], [], color=SKY_BLUE, label="brain mask")]
    if study.region is not None:
        handles.append(Line2D([], [], color=ORANGE, label="suspicious region"))
    if study.carrying:
        label = "highest p, the slice's probability"
        handles.append(Patch(facecolor="none", edgecolor=YELLOW, linewidth=FRAME_POINTS, label=label))
    add_axial_legend(figure, handles, columns=len(handles))
