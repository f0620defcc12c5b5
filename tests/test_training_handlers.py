"""What is kept of a training: the best model, clipped gradients, and weights that are loaded or refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from small_trainer import Scores, line, trainer_with

from custom_transforms.best_model import BestModelHandler
from custom_transforms.gradient_clip import GradientClipHandler
from custom_transforms.load_weights import StrictCheckpointLoader
from custom_transforms.refusal import RefusedError
from custom_transforms.safe_weights import read_weights


def train_with_scores(path: Path, scores: Sequence[float | None], patience: int = 99) -> tuple[Any, list[float]]:
    """Train, and give the trainer and the weight at the end of each epoch."""
    network, evaluator, weights = line(), Scores(scores), []
    keep = BestModelHandler(evaluator, network, path, patience=patience)  # type: ignore[arg-type]
    trainer = trainer_with(
        network, evaluator, keep, lambda _: weights.append(network.weight.item()), max_epochs=len(scores)
    )
    trainer.run()
    return trainer, weights


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.5, 0.3], 2),
        ([math.nan, 0.2, 0.1], 2),
        ([0.2, math.nan, 0.1], 1),
        ([None, 0.2, None], 2),
        ([0.0, 0.0, 0.0], 1),
    ],
)
def test_best_epoch_is_kept(tmp_path: Path, scores: list[float | None], best: int) -> None:
    trainer, weights = train_with_scores(tmp_path / "models" / "model.pt", scores)
    kept = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert kept["weight"].item() == weights[best - 1]
    assert trainer.state.best_score_epoch == best
    assert read_weights(tmp_path / "models" / "model.safetensors")["weight"].item() == weights[best - 1]
    assert sorted(file.name for file in (tmp_path / "models").iterdir()) == ["model.pt", "model.safetensors"]


def test_model_of_an_earlier_run_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    _, earlier = train_with_scores(tmp_path / "model.pt", [0.9])
    train_with_scores(tmp_path / "model.pt", [0.1, 0.2])
    assert torch.load(tmp_path / "model.previous.pt", weights_only=True)["weight"].item() == earlier[0]


def test_training_ends_after_patience(tmp_path: Path) -> None:
    trainer, _ = train_with_scores(tmp_path / "model.pt", [0.1, 0.3, 0.2, 0.2, 0.9], patience=2)
    assert trainer.state.epoch == 4


@pytest.mark.parametrize("scores", [[math.nan, math.nan], [None, None]])
def test_training_without_a_score_does_not_pass_for_finished(tmp_path: Path, scores: list[float | None]) -> None:
    with pytest.raises(RefusedError, match="no_model: model.pt: expected a validation with a score"):
        train_with_scores(tmp_path / "model.pt", scores)
    assert not (tmp_path / "model.pt").exists()


def test_gradient_is_clipped_before_the_step() -> None:
    norms: list[float] = []

    def measure(trainer: Any) -> None:
        norms.append(math.hypot(*(p.grad.item() for p in trainer.network.parameters())))

    trainer = trainer_with(line(), GradientClipHandler(0.01), max_epochs=1)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, measure)
    trainer.run()
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)
    with pytest.raises(ValueError, match="max_norm above 0, got 0"):
        GradientClipHandler(0)


def test_weights_are_loaded_or_refused_in_one_line(tmp_path: Path) -> None:
    path, network = tmp_path / "model.pt", line()
    torch.save({"weight": torch.tensor([[7.0]]), "bias": torch.tensor([3.0])}, path)
    loader = StrictCheckpointLoader(str(path), {"network": network})
    engine = trainer_with(network)
    loader.attach(engine)
    loader(engine)
    assert network.weight.item() == 7
    for damage, reason in (
        (b"", "damaged_weights"),
        (b"not weights", "damaged_weights"),
        (None, "missing_checkpoint"),
    ):
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(RefusedError, match=f"{reason}: model.pt") as error:
            loader(engine)
        assert "\n" not in str(error.value)


def test_weights_of_another_network_are_refused_with_the_reason(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 3).state_dict(), tmp_path / "model.pt")
    engine = trainer_with(line())
    with pytest.raises(RefusedError, match=r"size mismatch for bias.*\[3\]"):
        StrictCheckpointLoader(str(tmp_path / "model.pt"), {"network": engine.network})(engine)
