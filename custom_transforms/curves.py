"""Keep the history of a training, as a table and as curves."""

from __future__ import annotations

import csv
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from monai.engines import SupervisedTrainer
from monai.handlers import from_engine
from torch.utils.tensorboard import SummaryWriter

from custom_transforms.atomic_file import whole_file
from custom_transforms.pictures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    TICK_POINTS,
    VERMILLION,
    save_picture,
    style_plot,
)

OF_TRAINING = ("epoch", "loss", "learning_rate", "skipped_steps")
Row = dict[str, str]  # as in the file, so that rows of an earlier run are kept to the last digit


class TrainingCurvesHandler:
    """Write `history.csv` and `curves.png` after each epoch of a MONAI `SupervisedTrainer`.

    Attach it after `ValidationHandler`, so that the epoch's metrics are there. The file is the memory: a resumed run
    keeps the rows of earlier epochs, drops later ones and goes on; a run that starts at epoch 1 replaces the file.

    Args:
        evaluator: engine whose scalar metrics are added in the epochs in which it ran.
        output_dir: folder of the two files.
        tensorboard_dir: where to write the numbers for TensorBoard too; None: not.

    Columns: `epoch`, `loss` (mean over the epoch's iterations and over processes, where it is finite), `learning_rate`
    (of the first parameter group, in the epoch's last iteration), `skipped_steps` (so far, with `SkipBadStepsHandler`),
    the trainer's own metrics after `training_`, and those of validation by their names.
    """

    def __init__(self, evaluator: Engine, output_dir: str | Path, *, tensorboard_dir: str | Path | None = None) -> None:
        self.evaluator = evaluator
        self.output_dir = Path(output_dir)
        self.tensorboard_dir = tensorboard_dir
        self._loss_of: Callable[[Any], torch.Tensor] = from_engine(["loss"], first=True)
        self._writer: SummaryWriter | None = None
        self._losses: list[torch.Tensor] = []
        self._learning_rate = float("nan")

    def attach(self, engine: Engine) -> None:
        """Run in a trainer's iterations and after its epochs."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._losses.clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Add the epoch to the history, on the first process.

        Raises:
            ValueError: `history.csv` of an earlier run is not a table of epochs.
        """
        losses = torch.stack(self._losses) if self._losses else torch.zeros(0)
        losses = losses[losses.isfinite()]
        count, total = idist.all_reduce(len(losses)), idist.all_reduce(float(losses.sum()))
        loss = total / count if count else math.nan
        if idist.get_rank() != 0:
            return
        epoch = engine.state.epoch
        row = {"epoch": str(epoch), "loss": repr(loss), "learning_rate": repr(self._learning_rate)}
        if hasattr(engine.state, "skipped_steps"):
            row["skipped_steps"] = str(engine.state.skipped_steps)
        row |= {f"training_{name}": repr(value) for name, value in scalars(engine.state.metrics).items()}
        if self.evaluator.state.epoch == epoch:
            row |= {name: repr(value) for name, value in scalars(self.evaluator.state.metrics).items()}
        path = self.output_dir / "history.csv"
        rows = [earlier for earlier in read_history(path) if int(earlier["epoch"]) < epoch] + [row]
        _write_history(rows, path)
        save_picture(draw_curves(rows), self.output_dir / "curves.png")
        if self.tensorboard_dir is not None:
            self._writer = self._writer or SummaryWriter(self.tensorboard_dir, purge_step=epoch)
            for name, number in row.items():
                self._writer.add_scalar(name, float(number), epoch)
            self._writer.flush()

    def _note_iteration(self, engine: SupervisedTrainer) -> None:
        # kept on the device: reading the number would make the processor wait in every step
        self._losses.append(torch.as_tensor(self._loss_of(engine.state.output)).detach().float().mean())
        # read now, because after the epoch a schedule may have stepped to the next one's
        self._learning_rate = float(engine.optimizer.param_groups[0]["lr"])


def scalars(metrics: Mapping[str, object]) -> dict[str, float]:
    """Return the metrics that are one number each."""
    found = {}
    for name, metric in metrics.items():
        if isinstance(metric, numbers.Real) or (isinstance(metric, torch.Tensor) and metric.numel() == 1):
            found[name] = float(metric)
    return found


def read_history(path: Path) -> list[Row]:
    """Read the rows of `history.csv`; none if there is no such file.

    Raises:
        ValueError: a row has no epoch.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for line, row in enumerate(rows, start=2):
        if not (row.get("epoch") or "").isdecimal():
            raise ValueError(f"{path.name}: expected an epoch in line {line}, got {row.get('epoch')!r}")
    return rows


def draw_curves(rows: Sequence[Row]) -> Figure:
    """Draw loss and learning rate on the left and the metrics of validation on the right, over epochs.

    Args:
        rows: as in `history.csv`; empty cells, of epochs without validation, are passed over.

    Returns:
        a figure that pyplot does not know.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    panels = figure.subplot_mosaic([["loss", "metrics"], ["rate", "metrics"]], height_ratios=[3, 1])
    _draw(panels["loss"], rows, ["loss"], BLUE)
    style_plot(panels["loss"], title="Training loss", x_label="", y_label="mean loss of the epoch")
    _draw(panels["rate"], rows, ["learning_rate"], BLACK)
    style_plot(panels["rate"], title="Learning rate", x_label="epoch", y_label="")
    names = list(dict.fromkeys(name for row in rows for name in row if name not in OF_TRAINING))
    _draw(panels["metrics"], rows, names, VERMILLION, SKY_BLUE, GREEN, ORANGE, PURPLE, BLUE, BLACK)
    style_plot(panels["metrics"], title="Validation", x_label="epoch", y_label="0 to 1, higher is better")
    panels["metrics"].set_ylim(0, 1.02)
    if names:
        panels["metrics"].legend(fontsize=TICK_POINTS, frameon=False, loc="best")
    for axes in panels.values():
        axes.set_xlim(0, 1 + max([int(row["epoch"]) for row in rows], default=0))
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    return figure


def _draw(axes: Axes, rows: Sequence[Row], names: Sequence[str], *colours: str) -> None:
    for name, colour in zip(names, cycle(colours), strict=False):
        points = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
        if points:
            epoch, best = max(points, key=lambda point: (point[1] == point[1], point[1]))  # NaN is never best
            label = f"{name}, highest {best:.3f} in epoch {epoch}"
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.6, marker="o", markersize=3, label=label)


def _write_history(rows: Sequence[Row], path: Path) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with whole_file(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
