from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from monai.engines import SupervisedTrainer
from torch import nn
from torch.utils.data import DataLoader

from custom_transforms.gradient_clip import GradientClipHandler
from custom_transforms.refusal import NotFiniteError
from custom_transforms.skip_bad_steps import SkipBadStepsHandler


def train(inputs: Sequence[float], *, max_bad_steps: int = 3, epochs: int = 1) -> tuple[Any, nn.Module]:
    """Train with batch norm on one case a step; a NaN or a huge input spoils the step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    items = [
        {"image": torch.tensor([[value], [value + 1]]), "label": torch.zeros(2, 1), "case": [f"case{i}"]}
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
    )
    SkipBadStepsHandler(network, max_bad_steps).attach(trainer)
    GradientClipHandler(1.0).attach(trainer)
    trainer.run()
    return trainer, network


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e38])
def test_bad_step_changes_nothing(bad: float, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        trainer, network = train([1.0, bad, 2.0])
    expected_trainer, expected = train([1.0, 2.0])
    for name, tensor in expected.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    moments = trainer.optimizer.state_dict()["state"]
    torch.testing.assert_close(moments, expected_trainer.optimizer.state_dict()["state"], rtol=0, atol=0)
    assert (trainer.state.skipped_steps, trainer.state.skipped_in_a_row) == (1, 0)
    assert "epoch 1, iteration 2: loss or gradient is not finite, step left out; cases case1" in caplog.text


def test_several_in_a_row_end_the_training_and_name_the_cases() -> None:
    nan = float("nan")
    with pytest.raises(NotFiniteError, match=r"not_finite: .* 2 steps in a row without, the last of cases case4$"):
        train([nan, 1.0, 2.0, nan, nan, 1.0], max_bad_steps=2)
    with pytest.raises(NotFiniteError, match="cases case0"):  # the last of one epoch and the first of the next
        train([nan, 1.0, nan], max_bad_steps=2, epochs=2)
    assert NotFiniteError.exit_status == 70


def test_counts_are_in_the_trainers_state() -> None:
    trainer, _ = train([float("nan"), 1.0])
    state = trainer.state_dict()
    assert (state["skipped_steps"], state["skipped_in_a_row"]) == (1, 0)


def test_impossible_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bad_steps of at least 1, got 0"):
        SkipBadStepsHandler(nn.Linear(1, 1), 0)
