"""Load a trained network, or say why that cannot be."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

from ignite.engine import Engine
from monai.handlers import CheckpointLoader

from custom_transforms.refusal import RefusedError, last_line


class StrictCheckpointLoader(CheckpointLoader):
    """MONAI's `CheckpointLoader`, with one line where the file is missing, damaged or of another network.

    Args:
        load_path: file with a flat state dict, as training writes it.
        load_dict: one name to the network.
        map_location: device that the weights are read to.
    """

    def __call__(self, engine: Engine) -> None:
        """Load when the engine starts.

        Raises:
            RefusedError: see above.
        """
        path = Path(self.load_path)
        if not path.is_file():
            expected = f"trained weights at {path} (training writes them)"
            raise RefusedError.of("missing_checkpoint", path.name, expected=expected, got="no such file")
        try:
            super().__call__(engine)
        except (RuntimeError, EOFError, UnpicklingError, ValueError) as error:
            expected = "weights of the network in this config (was it trained with the same overlay?)"
            raise RefusedError.of("checkpoint_mismatch", path.name, expected=expected, got=last_line(error)) from error
