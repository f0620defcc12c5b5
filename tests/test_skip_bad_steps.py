from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from small_weights import checkpoint_hash
from torch import Tensor, nn
from torch.utils.data import DataLoader

from custom_transforms.gradient_clip import GradientClipHandler
from custom_transforms.newest_checkpoint import read_checkpoint
from custom_transforms.refusal import NotFiniteError
from custom_transforms.skip_bad_steps import SkipBadStepsHandler
from custom_transforms.training_checkpoint import TrainingCheckpointHandler


def make_trainer(
    inputs: Sequence[float],
    *,
    label: float = 0.0,
    max_bad_steps: int = 3,
    epochs: int = 1,
    amp: bool = False,
    gradient_hook: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Any, nn.Module]:
    """Make a trainer with batch norm and one case a step; a NaN or a huge input spoils the step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    for weight in network.parameters() if gradient_hook else ():
        weight.register_hook(gradient_hook)
    items = [
        {"image": torch.tensor([[value], [value + 1]]), "label": torch.full((2, 1), label), "case": [f"case{i}"]}
        for i, value in enumerate(inputs)
    ]
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(items, batch_size=1, collate_fn=lambda batch: batch[0]),
        network=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=0.1),
        loss_function=nn.MSELoss(),
        decollate=False,
        amp=amp,
    )
    SkipBadStepsHandler(network, max_bad_steps).attach(trainer)
    GradientClipHandler(1.0).attach(trainer)
    return trainer, network


def train(inputs: Sequence[float], **settings: Any) -> tuple[Any, nn.Module]:
    trainer, network = make_trainer(inputs, **settings)
    trainer.run()
    return trainer, network


@pytest.fixture
def scaler_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the trainers of MONAI, which know CUDA's alone, the gradient scaler that works on any machine."""
    monkeypatch.setattr("torch.cuda.amp.GradScaler", partial(torch.amp.GradScaler, "cpu"))


def in_half_precision(gradient: Tensor) -> Tensor:
    """Overflow beyond 65504, as the gradient of a layer in float16 does."""
    return gradient.half().float()


def never_finite(gradient: Tensor) -> Tensor:
    return gradient * float("nan")


@pytest.mark.usefixtures("scaler_on_cpu")
@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e38])
def test_bad_step_changes_nothing(bad: float, amp: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        trainer, network = train([1.0, bad, 2.0], amp=amp)
    expected_trainer, expected = train([1.0, 2.0], amp=amp)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    moments = trainer.optimizer.state_dict()["state"]
    torch.testing.assert_close(moments, expected_trainer.optimizer.state_dict()["state"], rtol=0, atol=0)
    assert (trainer.state.skipped_steps, trainer.state.skipped_in_a_row) == (1, 0)
    assert "epoch 1, iteration 2: loss or gradient is not finite, step left out; cases case1" in caplog.text


@pytest.mark.usefixtures("scaler_on_cpu")
@pytest.mark.parametrize("amp", [False, True])
def test_several_in_a_row_end_the_training_and_name_the_cases(amp: bool) -> None:
    nan = float("nan")
    with pytest.raises(NotFiniteError, match=r"not_finite: .* 2 steps in a row without, the last of cases case4$"):
        train([nan, 1.0, 2.0, nan, nan, 1.0], max_bad_steps=2, amp=amp)
    with pytest.raises(NotFiniteError, match="cases case0"):  # the last of one epoch and the first of the next
        train([nan, 1.0, nan], max_bad_steps=2, epochs=2, amp=amp)
    assert NotFiniteError.exit_status == 70


@pytest.mark.usefixtures("scaler_on_cpu")
def test_scaler_finds_its_scale_without_ending_the_training(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        trainer, _ = train([1.0] * 20, label=600.0, amp=True, gradient_hook=in_half_precision)
    # the last bias has a gradient of nearly -1200, which fits into float16 from a scale of 32 on: 11 halvings of 65536
    assert trainer.scaler.get_scale() == 32
    assert (trainer.state.skipped_steps, trainer.state.skipped_in_a_row) == (11, 0)
    assert all(moments["step"] == 9 for moments in trainer.optimizer.state_dict()["state"].values())
    assert {record.levelname for record in caplog.records if "step left out; cases case" in record.message} == {"INFO"}


@pytest.mark.usefixtures("scaler_on_cpu")
def test_gradient_that_is_not_finite_at_any_scale_ends_the_training() -> None:
    # 16 halvings of 65536 give 1; from there on three steps are three too many
    with pytest.raises(NotFiniteError, match=r" 3 steps in a row without, the last of cases case18$"):
        train([1.0] * 30, amp=True, gradient_hook=never_finite)


@pytest.mark.usefixtures("scaler_on_cpu")
def test_resumed_training_has_the_scale_of_an_uninterrupted_one(tmp_path: Path) -> None:
    for name, stops in (("whole", [0]), ("parts", [3, 0])):
        for stop_after in stops:
            trainer, network = make_trainer([1.0] * 5, label=600.0, epochs=5, amp=True, gradient_hook=in_half_precision)
            objects = {"network": network, "optimizer": trainer.optimizer}
            TrainingCheckpointHandler(tmp_path / name / "training.pt", objects, resume="auto").attach(trainer)
            if stop_after:
                trainer.add_event_handler(Events.EPOCH_COMPLETED(once=stop_after), trainer.terminate)
            trainer.run()
            if stop_after:  # 11 steps left out, 4 done
                state = read_checkpoint(tmp_path / name / "training.pt")
                assert (state["scaler"]["scale"], state["scaler"]["_growth_tracker"]) == (32, 4)
    assert checkpoint_hash(tmp_path / "parts" / "training.pt") == checkpoint_hash(tmp_path / "whole" / "training.pt")


def test_counts_are_in_the_trainers_state() -> None:
    trainer, _ = train([float("nan"), 1.0])
    state = trainer.state_dict()
    assert (state["skipped_steps"], state["skipped_in_a_row"]) == (1, 0)


def test_impossible_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bad_steps of at least 1, got 0"):
        SkipBadStepsHandler(nn.Linear(1, 1), 0)
