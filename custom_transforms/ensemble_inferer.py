"""An ensemble: one network with the weights of several trainings, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from monai.inferers import Inferer
from torch import nn

from custom_transforms.best_model import plain
from custom_transforms.fingerprint import file_states
from custom_transforms.load_weights import fit_weights, read_checkpoint_weights
from custom_transforms.refusal import RefusedError
from custom_transforms.sampling_inferer import Network, Run, SamplingInferer

MOST_KEPT = 16  # members read once; of the classifier's 98 MB each


class EnsembleInferer(SamplingInferer):
    """Run a network with the weights of each of several files, and give it its own back, also after an error.

    The device holds one network, whatever the number of files; the files' weights are kept in the computer's memory.

    Args:
        inferer: what runs the network.
        checkpoints: files that `StrictCheckpointLoader` takes, of trainings of the same network.

    Raises:
        RefusedError: when called, a file that is missing, damaged or of another network; or another backend than torch.

    Reference:
        Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, NeurIPS
        2017.
    """

    def __init__(self, inferer: Inferer, checkpoints: Sequence[str | Path]) -> None:
        super().__init__(inferer)
        self.checkpoints = [str(path) for path in checkpoints]

    def draw(self, inputs: torch.Tensor, network: Network, run: Run) -> Iterator[torch.Tensor]:
        """Give a sample of each file."""
        if not isinstance(network, nn.Module):
            expected = "backend torch for an ensemble: an exported file holds the weights of one training"
            raise RefusedError.of("backend_ensemble", "uncertainty", expected=expected, got="another backend")
        own = {name: tensor.clone() for name, tensor in plain(network).state_dict().items()}
        try:
            for path in self.checkpoints:
                fit_weights(network, _read(path, str(file_states(path) if Path(path).is_file() else "")), path)
                torch.clear_autocast_cache()  # else autocast goes on with what it has cast of the weights before
                yield from run(inputs)
        finally:
            plain(network).load_state_dict(own)
            torch.clear_autocast_cache()


@lru_cache(maxsize=MOST_KEPT)  # not kept by the inferer, which is hashed as a setting and sent to other processes
def _read(path: str, states: str) -> dict[str, torch.Tensor]:
    """Read a file; `states` only tells when to do so anew."""
    return read_checkpoint_weights(path, part="network")
