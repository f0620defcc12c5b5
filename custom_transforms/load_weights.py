"""Load a trained network, or say why that cannot be."""

from __future__ import annotations

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
        path = Path(self.load_path)
        if not path.is_file():
            expected = f"trained weights at {path} (training writes them)"
            raise RefusedError.of("missing_checkpoint", path.name, expected=expected, got="no such file")
        [(name, network)] = self.load_dict.items()
        state = read_weights(path, part=name, device=self.device)
        try:
            plain(network).load_state_dict(state)
        except RuntimeError as error:
            expected = "weights of the network in this config (was it trained with the same overlay?)"
            raise RefusedError.of("checkpoint_mismatch", path.name, expected=expected, got=last_line(error)) from error
        self.logger.info("weights from %s", path)
