"""A picture of the report: its figure, and its content in words for those who do not see it."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from custom_transforms.pictures import TICK_POINTS

SIZE_INCHES = (5.6, 4.9)  # 840 x 735 pixels: two beside each other fill a page, and letters stay readable
GREY = "0.45"


class Picture(NamedTuple):
    """What a figure is called, says and looks like."""

    name: str  # of its file, without ending
    title: str
    caption: str  # how to read it
    words: str  # what it shows, in the place of the picture
    figure: Figure


def new_axes() -> tuple[Figure, Axes]:
    """Make a figure of the report's size with one plot."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    return figure, figure.subplots()


def legend_below(figure: Figure, *, columns: int = 1) -> None:
    """Explain the lines below the plot, where the words cover no data."""
    figure.legend(loc="outside lower center", fontsize=TICK_POINTS, frameon=False, ncols=columns)


def unit_square(axes: Axes) -> None:
    """Show 0 to 1 on both axes, with room for markers on the edge."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
