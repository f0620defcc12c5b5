"""Draw predictions and truth over a patient's images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from custom_transforms.best_and_worst import BestAndWorst
from custom_transforms.file_stem import file_stem
from custom_transforms.mri_study import MODALITIES
from custom_transforms.orientation import require_axes
from custom_transforms.patient_metrics import evaluated_patients
from custom_transforms.pictures import (
    LABEL_POINTS,
    REGION_COLOURS,
    REGION_NAMES,
    TITLE_POINTS,
    add_axial_legend,
    brain_box,
    grey_window,
    pixel_aspect,
    radiological_view,
    save_picture,
    show_axial,
)
from custom_transforms.representative_slices import choose_slices

Mask = NDArray[np.bool_]

SHOWN = ("FLAIR", "T1ce")  # oedema is seen best on the one, enhancement and necrosis on the other
FILL_OPACITY = 0.4  # tissue stays visible below
PANEL_INCHES = 2.6


def draw_overlay(
    image: torch.Tensor,
    pred: torch.Tensor,
    *,
    truth: torch.Tensor | None = None,
    regions: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw a patient's prediction as colour, and the truth as lines, over FLAIR and T1ce.

    Args:
        image: `(4, X, Y, S)` in RAS, channels FLAIR, T1, T1ce, T2, any unit, 0 outside the brain.
        pred: `(R, X, Y, S)`, 0 or 1. Where regions overlap, the innermost gives the colour.
        truth: `(R, X, Y, S)`, 0 or 1, outlined region by region.
        regions: names of the channels, from `REGION_COLOURS`.
        title: the figure's heading, such as the case's name.

    Returns:
        a figure that pyplot does not know: a row for each of FLAIR and T1ce, a column for each of up to four axial
        slices, in radiological convention.

    Raises:
        ValueError: shapes do not fit each other or the regions, a region is unknown, or the image is not in RAS.
    """
    _check(image, pred, truth, regions)
    filled, outlined = (_by_region(channels, regions) for channels in (pred, truth))
    slices = choose_slices(np.any([*filled.values(), *outlined.values()], axis=0))
    inside = (image != 0).any(0).cpu().numpy()
    box = brain_box(inside)
    aspect = pixel_aspect(image.affine.cpu().numpy()) if isinstance(image, MetaTensor) else 1.0
    figure = Figure(figsize=(PANEL_INCHES * len(slices), PANEL_INCHES * len(SHOWN) + 1.4), layout="compressed")
    panels = figure.subplots(len(SHOWN), len(slices), squeeze=False)
    for modality, row in zip(SHOWN, panels, strict=True):
        volume = image[MODALITIES.index(modality)].cpu().float().numpy()
        window = grey_window(volume, inside)
        for index, axes in zip(slices, row, strict=True):
            at = (*box, index)
            show_axial(axes, volume[at], inside[at], window=window, aspect=aspect)
            _colour(axes, {name: mask[at] for name, mask in filled.items()})
            _outline(axes, {name: mask[at] for name, mask in outlined.items()})
        row[0].set_ylabel(modality, fontsize=TITLE_POINTS)
    for index, axes in zip(slices, panels[0], strict=True):
        axes.set_title(f"slice {index + 1} of {image.shape[-1]}", fontsize=LABEL_POINTS)
    _add_words(figure, title, filled, outlined)
    return figure


class OverlayHandler:
    """Save one overlay a patient, `<case>.png`, after each iteration of a MONAI `SupervisedEvaluator`.

    Its data carry `case`, its postprocessing leaves binary `pred` and, if there is truth, `label`. Each process draws
    the patients it has.

    Args:
        output_dir: folder of the pictures. In case names, all but letters, digits, `.`, `_`, `-` becomes `_`.
        regions: names of the channels of `pred` and `label`.
        max_cases: how many patients are drawn, the first of a run; later ones only where none was better, or none
            worse, before, so that the best and the worst of all are drawn too.
        tensorboard_dir: where to write the figures for TensorBoard too, under `overlay/<case>`, by epoch; None: not.
    """

    def __init__(
        self,
        output_dir: str | Path,
        regions: Sequence[str],
        *,
        max_cases: int = 20,
        tensorboard_dir: str | Path | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.regions = tuple(regions)
        self.max_cases = max_cases
        self.tensorboard_dir = tensorboard_dir
        self._drawn = 0
        self._extremes = BestAndWorst()
        self._writer: SummaryWriter | None = None

    def attach(self, engine: Engine) -> None:
        """Run after each iteration of an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def __call__(self, engine: Engine) -> None:
        """Draw those of an iteration's patients that are wanted; only the file's name says whose picture it is."""
        for item in evaluated_patients(engine):
            stands_out = self._extremes.stands_out(item)
            if self._drawn >= self.max_cases and not stands_out:
                continue
            self._drawn += 1
            case = file_stem(item["case"])
            figure = draw_overlay(item["image"], item["pred"], truth=item.get("label"), regions=self.regions)
            save_picture(figure, self.output_dir / f"{case}.png")
            if self.tensorboard_dir is not None:
                self._writer = self._writer or SummaryWriter(self.tensorboard_dir)
                self._writer.add_figure(f"overlay/{case}", figure, global_step=engine.state.epoch)

    def _start(self) -> None:
        self._drawn = 0
        self._extremes = BestAndWorst()

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()  # the next run of this evaluator opens a new file
            self._writer = None


def _check(image: torch.Tensor, pred: torch.Tensor, truth: torch.Tensor | None, regions: Sequence[str]) -> None:
    unknown = [name for name in regions if name not in REGION_COLOURS]
    if unknown or not regions:
        raise ValueError(f"regions: expected names from {', '.join(REGION_COLOURS)}, got {list(regions)}")
    counts = {"image": len(MODALITIES), "prediction": len(regions), "truth": len(regions)}
    for (name, count), channels in zip(counts.items(), (image, pred, truth), strict=True):
        expected = (count, *image.shape[-3:])
        if channels is not None and channels.shape != expected:
            raise ValueError(f"{name}: expected shape {expected}, got {tuple(channels.shape)}")
    if isinstance(image, MetaTensor):
        require_axes(image.affine.cpu().numpy(), "RAS", why="else sides would be exchanged")


def _by_region(channels: torch.Tensor | None, regions: Sequence[str]) -> dict[str, Mask]:
    """Name the channels, outermost region first."""
    if channels is None:
        return {}
    return {name: (channels[regions.index(name)] > 0).cpu().numpy() for name in REGION_COLOURS if name in regions}


def _colour(axes: Axes, masks: Mapping[str, Mask]) -> None:
    shape = next(iter(masks.values())).shape
    colours = np.zeros((*shape, 4))
    for name, mask in masks.items():
        colours[mask] = to_rgba(REGION_COLOURS[name], FILL_OPACITY)
    axes.imshow(radiological_view(colours), aspect=axes.get_aspect(), interpolation="nearest")


def _outline(axes: Axes, masks: Mapping[str, Mask]) -> None:
    for name, mask in masks.items():
        if mask.any():
            lines = axes.contour(radiological_view(mask), levels=[0.5], colors=REGION_COLOURS[name], linewidths=1.3)
            lines.set_path_effects([withStroke(linewidth=2.6, foreground="black")])  # else lost in its own colour


def _add_words(figure: Figure, title: str, filled: Mapping[str, Mask], outlined: Mapping[str, Mask]) -> None:
    handles: list[Artist] = []
    for name in filled:
        colour = REGION_COLOURS[name]
        handles.append(Patch(facecolor=to_rgba(colour, 0.7), label=f"{REGION_NAMES[name]}, prediction"))
        if outlined:
            handles.append(Line2D([], [], color=colour, linewidth=2, label=f"{REGION_NAMES[name]}, truth"))
    add_axial_legend(figure, handles, columns=len(filled))
    figure.suptitle(title, fontsize=TITLE_POINTS)
