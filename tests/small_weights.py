"""State dicts of small networks, under the names of each family of weights."""

from __future__ import annotations

import torch
from torch import Tensor

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
