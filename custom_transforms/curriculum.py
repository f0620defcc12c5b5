"""Train a pretrained network in stages: first its head, then its last layers with smaller steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TypedDict

from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import nn
from torch.optim import Optimizer

from custom_transforms.best_model import plain


class LearningGroup(TypedDict):
    """Layers that learn alike."""

    layers: Sequence[str]
    lr: float
    weight_decay: float


class Stage(TypedDict):
    """What learns from an epoch on; epochs are counted from 0, as in the description of the curriculum."""

    first_epoch: int
    layers: Sequence[str]


def parameter_groups(network: nn.Module, groups: Sequence[LearningGroup]) -> list[dict[str, Any]]:
    """Sort a network's parameters into an optimizer's groups.

    Args:
        network: the network.
        groups: layers by their first name, such as `layer4` or `fc`, with learning rate and weight decay.

    Returns:
        groups for a torch optimizer; a layer in no group is in none of them and never learns.

    Raises:
        ValueError: a layer that the network does not have, or that is in two groups.
    """
    layers = [layer for group in groups for layer in group["layers"]]
    _check_layers(plain(network), layers)
    if len(set(layers)) < len(layers):
        raise ValueError(f"parameter groups: expected each layer in one group, got {', '.join(layers)}")
    return [
        {
            "params": [weight for name, weight in plain(network).named_parameters() if _layer(name) in group["layers"]],
            "lr": group["lr"],
            "weight_decay": group["weight_decay"],
        }
        for group in groups
    ]


def stage_number(stages: Sequence[Stage], epoch: int) -> int:
    """Tell the stage, from 1, that an epoch, from 1, belongs to."""
    return sum(stage["first_epoch"] < epoch for stage in stages)


class CurriculumHandler:
    """Let the layers of the present stage learn and no others.

    The stage follows from the epoch alone, so that a resumed run is in the right one; it is kept as
    `engine.state.stage`, counted from 1, for those who write checkpoints. Batch norm's statistics are the network's
    own matter.

    Args:
        network: the network.
        optimizer: must hold every layer of every stage.
        stages: in order; the first begins with epoch 0.

    Raises:
        ValueError: stages out of order, a layer that the network does not have or the optimizer does not move.
    """

    def __init__(self, network: nn.Module, optimizer: Optimizer, stages: Sequence[Stage]) -> None:
        first = [stage["first_epoch"] for stage in stages]
        if not stages or first[0] != 0 or first != sorted(set(first)):
            raise ValueError(f"curriculum: expected stages from epoch 0 on, in order, got first epochs {first}")
        self.network = plain(network)
        self.stages = stages
        moved = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        for stage in stages:
            _check_layers(self.network, stage["layers"])
            still = [name for name, weight in self._of(stage) if id(weight) not in moved]
            if still:
                raise ValueError(f"curriculum: expected a learning rate for {_layer(still[0])}, got none")

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run when an epoch starts."""
        engine.state.stage = 1
        engine.state_dict_user_keys.append("stage")
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Freeze and thaw."""
        number = stage_number(self.stages, engine.state.epoch)
        if number != stage_number(self.stages, engine.state.epoch - 1):
            logging.getLogger(__name__).info("stage %d: %s", number, ", ".join(self.stages[number - 1]["layers"]))
        engine.state.stage = number
        self.network.requires_grad_(False)
        for _, weight in self._of(self.stages[number - 1]):
            weight.requires_grad_(True)

    def _of(self, stage: Stage) -> list[tuple[str, nn.Parameter]]:
        return [(name, weight) for name, weight in self.network.named_parameters() if _layer(name) in stage["layers"]]


def _layer(name: str) -> str:
    return name.partition(".")[0]


def _check_layers(network: nn.Module, layers: Sequence[str]) -> None:
    known = dict.fromkeys(_layer(name) for name, _ in network.named_parameters())
    unknown = [layer for layer in layers if layer not in known]
    if unknown:
        raise ValueError(f"curriculum: expected layers of {', '.join(known)}, got {unknown[0]}")
