"""Which family of ResNet-50 weights a state dict is of, and its backbone under this project's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from custom_transforms.refusal import RefusedError

# `nn.Sequential(*resnet50().children())` numbers the parts; 2, 3 and 8 (ReLU and the poolings) have no weights.
PARTS = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
NUMBERED = re.compile(r"backbone\.(\d)\.(.+)")
BACKBONE = re.compile(r"(conv1|bn1|layer[1-4]\.\d+\.\w+(\.\d)?)\.\w+")
CONVOLUTION_BIAS = re.compile(r"(conv1|layer\d\.\d+\.(conv\d|downsample\.0))\.bias")
KERAS_NAME = re.compile(r"(conv\d_block\d+_\d_(conv|bn)|conv1_(conv|bn))([./_].*)?")
KNOWN_HEAD = re.compile(r"(fc|classifier|linear|attention)\..+")
OWN_HEAD = re.compile(r"(fc\.\d|attention\.\d)\..+")
KERAS_REASON = (
    "biases in convolutions or Keras names: a conversion from Keras, whose blocks have their stride in the first 1x1 "
    "convolution, so that it would load and compute something else"
)


@dataclass(frozen=True)
class Weights:
    """Weights under this project's names.

    Attributes:
        family: `radimagenet_pytorch` (numbered parts), `torchvision` (three channels) or `one_channel` (torchvision's
            names with one input channel, as this project's own checkpoints).
        backbone: convolutions and batch norms; `conv1.weight` has one input channel.
        head: weights of this project's own head, empty in files of others.
    """

    family: str
    backbone: dict[str, Tensor]
    head: dict[str, Tensor]


def recognise_weights(state: Mapping[str, Tensor], *, file: str) -> Weights:
    """Sort every key of a state dict into backbone and head.

    Weights of a first convolution with three input channels are summed over them: on a grey image repeated in three
    channels that gives the same. The number of batches that batch norm has seen is left out, as it decides nothing.
    A Keras conversion whose biases were dropped has the keys of torchvision: only its hash can tell.

    Args:
        state: name to tensor, with or without the prefix `module.` of data-parallel training.
        file: base name of the file, for messages.

    Returns:
        The weights.

    Raises:
        RefusedError: a Keras conversion, or a key that belongs to none of the families.
    """
    named = _by_name(state, file=file)
    if any(CONVOLUTION_BIAS.fullmatch(key) or KERAS_NAME.fullmatch(key) for key in named):
        expected = "weights of a PyTorch ResNet-50"
        raise RefusedError.of("keras_conversion", file, expected=expected, got=KERAS_REASON)
    strangers = [key for key in named if not BACKBONE.fullmatch(key) and not KNOWN_HEAD.fullmatch(key)]
    if strangers or "conv1.weight" not in named:
        expected = "keys backbone.0.weight … (RadImageNet) or conv1.weight … (torchvision)"
        got = f"{strangers[0]!r} and {len(strangers) - 1} more" if strangers else "none of them"
        raise RefusedError.of("wrong_family", file, expected=expected, got=got)
    _check_numbers(named, file=file)
    used = {key: tensor for key, tensor in named.items() if not key.endswith("num_batches_tracked")}
    backbone = {key: tensor.float() for key, tensor in used.items() if BACKBONE.fullmatch(key)}
    first = backbone["conv1.weight"]
    if first.ndim != 4 or first.shape[1] not in (1, 3):
        expected = "a first convolution with 1 or 3 input channels"
        raise RefusedError.of("wrong_shape", file, expected=expected, got=str(tuple(first.shape)))
    backbone["conv1.weight"] = first.sum(1, keepdim=True)
    numbered = any(NUMBERED.fullmatch(key.removeprefix("module.")) for key in state)
    family = "radimagenet_pytorch" if numbered else "one_channel" if first.shape[1] == 1 else "torchvision"
    own_head = {key: tensor for key, tensor in used.items() if OWN_HEAD.fullmatch(key)}
    return Weights(family, backbone, own_head)


def fit_weights(weights: Weights, network: Mapping[str, Tensor], *, file: str) -> dict[str, Tensor]:
    """Take the backbone, and the head where all of it fits.

    Args:
        weights: what `recognise_weights` returned.
        network: state dict of the network that is to have them.
        file: base name of the file, for messages.

    Returns:
        Name to tensor: the whole backbone of the network, and its whole head or nothing of it.

    Raises:
        RefusedError: a weight of the backbone is missing, superfluous or of another shape.
    """
    shapes = {key: tensor.shape for key, tensor in network.items() if not key.endswith("num_batches_tracked")}
    wanted = {key: shape for key, shape in shapes.items() if BACKBONE.fullmatch(key)}
    found = {key: tensor.shape for key, tensor in weights.backbone.items()}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            expected, got = (_describe(shape.get(key)) for shape in (wanted, found))
            raise RefusedError.of("wrong_shape", file, expected=f"{key} {expected}", got=got)
    head = {key: tensor.shape for key, tensor in weights.head.items()}
    fits = head == {key: shape for key, shape in shapes.items() if key not in wanted}
    return {**weights.backbone, **(weights.head if fits else {})}


def _by_name(state: Mapping[str, Tensor], *, file: str) -> dict[str, Tensor]:
    """Name weights as torchvision does, where they are numbered or have the prefix of data-parallel training."""
    named = {}
    for key, tensor in state.items():
        plain = key.removeprefix("module.")
        match = NUMBERED.fullmatch(plain)
        name = f"{PARTS[match[1]]}.{match[2]}" if match and match[1] in PARTS else plain
        if name in named:
            raise RefusedError.of("wrong_family", file, expected="each weight once", got=f"{name} under two names")
        named[name] = tensor
    return named


def _describe(shape: torch.Size | None) -> str:
    return "absent" if shape is None else f"of shape {tuple(shape)}"


def _check_numbers(named: Mapping[str, Tensor], *, file: str) -> None:
    """Refuse what cannot be a trained weight: quantised or complex numbers, NaN, infinity."""
    for key, tensor in named.items():
        if key.endswith("num_batches_tracked"):
            continue
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise RefusedError.of("damaged_weights", file, expected=f"finite numbers in {key}", got=str(tensor.dtype))
