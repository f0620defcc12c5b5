"""The history of a training: what a row holds, and that a resumed run goes on without repeating epochs."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from matplotlib import _pylab_helpers
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler
from torch.utils.data import DataLoader

from custom_transforms.curves import TrainingCurvesHandler, draw_curves, scalars


def make_trainer(folder: Path, *, epochs: int) -> SupervisedTrainer:
    """Train one weight on batches whose losses are 1 and 3: the mean of an epoch is 2."""
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    batches = [{"image": torch.ones(2, 1), "label": torch.full((2, 1), loss)} for loss in (1.0, 3.0)]
    evaluator = SupervisedEvaluator("cpu", DataLoader(batches, batch_size=None), network)

    @evaluator.on(Events.COMPLETED)
    def _measure() -> None:
        evaluator.state.metrics |= {"mean_dice": evaluator.state.epoch / 10, "map": torch.ones(2, 2)}

    trainer = SupervisedTrainer(
        "cpu",
        epochs,
        DataLoader(batches, batch_size=None),
        network,
        optimizer,
        loss_function=lambda pred, label: label.mean() + 0 * pred.sum(),
    )
    LrScheduleHandler(torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.1), print_lr=False).attach(trainer)
    ValidationHandler(2, evaluator).attach(trainer)
    TrainingCurvesHandler(evaluator, folder).attach(trainer)
    return trainer


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_row_has_mean_loss_and_the_rate_that_was_used_and_metrics_of_its_epoch(tmp_path: Path) -> None:
    make_trainer(tmp_path, epochs=3).run()

    rows = read_rows(tmp_path)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["loss"]) for row in rows] == [2, 2, 2]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.5, 0.05, 0.005])
    assert [row["mean_dice"] for row in rows] == ["", "0.2", ""]
    assert "map" not in rows[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "history.csv"]
    assert not _pylab_helpers.Gcf.figs


def write_history(folder: Path, *, epochs: int) -> None:
    rows = [f"{epoch},0.{epoch},0.25,0.90000000000000002" for epoch in range(1, epochs + 1)]
    (folder / "history.csv").write_text("\n".join(["epoch,loss,learning_rate,mean_dice", *rows]))


def resume(folder: Path, *, at: int, epochs: int) -> list[dict[str, str]]:
    trainer = make_trainer(folder, epochs=epochs)
    trainer.load_state_dict({"epoch": at, "max_epochs": epochs, "epoch_length": 2})
    trainer.run()
    return read_rows(folder)


def test_resumed_run_keeps_earlier_epochs_and_repeats_none(tmp_path: Path) -> None:
    write_history(tmp_path, epochs=4)
    rows = resume(tmp_path, at=3, epochs=5)

    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [float(row["loss"]) for row in rows] == [0.1, 0.2, 0.3, 2, 2]
    assert [row["mean_dice"] for row in rows] == [*["0.90000000000000002"] * 3, "0.4", ""]


def test_resumed_run_drops_epochs_that_have_not_been_reached_again(tmp_path: Path) -> None:
    write_history(tmp_path, epochs=4)
    assert [float(row["loss"]) for row in resume(tmp_path, at=1, epochs=2)] == [0.1, 2]


def test_fresh_run_starts_a_new_history(tmp_path: Path) -> None:
    write_history(tmp_path, epochs=3)
    make_trainer(tmp_path, epochs=1).run()

    assert [float(row["loss"]) for row in read_rows(tmp_path)] == [2]


def test_history_without_epochs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch,loss\nfirst,0.1\n")
    with pytest.raises(ValueError, match=r"history.csv: expected an epoch in line 2, got 'first'"):
        make_trainer(tmp_path, epochs=1).run()


def test_only_single_numbers_are_scalars() -> None:
    metrics = {"a": 1, "b": torch.tensor(0.5), "c": torch.ones(2), "d": "text", "e": math.nan}
    assert scalars(metrics) == {"a": 1.0, "b": 0.5, "e": pytest.approx(math.nan, nan_ok=True)}


def test_highest_dice_is_named_even_when_some_are_nan() -> None:
    rows = [{"epoch": str(epoch), "dice": dice} for epoch, dice in ((1, "nan"), (2, "0.7"), (3, ""), (4, "0.6"))]
    (_, _, panel) = sorted(draw_curves(rows).axes, key=lambda axes: axes.get_title(loc="left"))
    assert panel.get_title(loc="left") == "Validation"
    assert [line.get_label() for line in panel.lines] == ["dice, highest 0.700 in epoch 2"]
