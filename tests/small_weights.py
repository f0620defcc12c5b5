"""State dicts of small networks, under the names of each family of weights, and what a checkpoint holds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from custom_transforms.newest_checkpoint import read_checkpoint
from custom_transforms.slice_classifier import SliceClassifier

State = dict[str, Tensor]
NUMBERS = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


def make_network(seed: int = 1, **options: bool) -> SliceClassifier:
    torch.manual_seed(seed)
    return SliceClassifier(layers=(1, 1, 1, 1), widths=(4, 4, 8, 8), **options).eval()


def backbone_of(network: SliceClassifier) -> State:
    return {key: it for key, it in network.state_dict().items() if not key.startswith(("fc", "attention"))}


def as_torchvision(state: State) -> State:
    """Three input channels, with different weights, whose sum is the one channel; and a head for 1000 classes."""
    shares = torch.tensor([0.25, 1.0, -0.25]).view(1, 3, 1, 1)
    head = {"fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}
    return {**state, "conv1.weight": state["conv1.weight"] * shares, **head}


def as_radimagenet(state: State) -> State:
    """Numbered parts, as `nn.Sequential(*resnet50().children())` names them."""
    heads = ("fc.weight", "fc.bias")
    parts = {key: key.split(".", 1) for key in state if key not in heads}
    return {f"backbone.{NUMBERS[part]}.{rest}": state[key] for key, (part, rest) in parts.items()}


def checkpoint_hash(path: Path) -> str:
    """Hash all that a checkpoint holds."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, dict):
            for key in sorted(part, key=str):
                add(str(key))
                add(part[key])
        elif isinstance(part, (list, tuple)):
            for element in part:
                add(element)
        elif isinstance(part, torch.Tensor):
            digest.update(part.numpy().tobytes())
        else:
            digest.update(repr(part).encode())

    add(read_checkpoint(path))
    return digest.hexdigest()
