"""Load a trained network, or say why that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from ignite.engine import Engine
from monai.handlers import CheckpointLoader
from torch import nn

from custom_transforms.best_model import plain
from custom_transforms.refusal import RefusedError, last_line
from custom_transforms.safe_weights import read_weights


class StrictCheckpointLoader(CheckpointLoader):
    """Load every weight of a network from a `.pt` or `.safetensors` file when the engine starts, or refuse in one line.

    MONAI's `CheckpointLoader`, by which other programs recognise it, reads as `torch.load` of its version does and
    knows no safetensors; this reads with `read_weights`, which never unpickles.

    Args:
        load_path: file with a flat state dict, as training writes it, or with one under the network's name.
        load_dict: one name to the network.
        map_location: device that the weights are read to.
    """

    def __init__(
        self, load_path: str, load_dict: dict[str, nn.Module], map_location: torch.device | str = "cpu"
    ) -> None:
        super().__init__(load_path, load_dict)
        self.device = map_location

    def __call__(self, engine: Engine) -> None:
        """Load when the engine starts.

        Raises:
            RefusedError: the file is missing, damaged, or of another network.
        """
        [(name, network)] = self.load_dict.items()
        fit_weights(network, read_checkpoint_weights(self.load_path, part=name, device=self.device), self.load_path)
        self.logger.info("weights from %s", self.load_path)


def read_checkpoint_weights(
    path: str | Path, *, part: str, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """Read the weights of a checkpoint; see `read_weights`.

    Raises:
        RefusedError: the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        expected = f"trained weights at {path} (training writes them)"
        raise RefusedError.of("missing_checkpoint", path.name, expected=expected, got="no such file")
    return read_weights(path, part=part, device=device)


def fit_weights(network: nn.Module, state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Give a network all the weights of a file, and the file no other.

    Raises:
        RefusedError: they are of another network.
    """
    try:
        plain(network).load_state_dict(state)
    except RuntimeError as error:
        expected = "weights of the network in this config (was it trained with the same overlay?)"
        raise RefusedError.of(
            "checkpoint_mismatch", Path(path).name, expected=expected, got=last_line(error)
        ) from error
