"""Weights as files that hold numbers and nothing that runs: safetensors, and PyTorch's format read as weights only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from custom_transforms.atomic_file import whole_file
from custom_transforms.refusal import RefusedError, last_line

SAFETENSORS = ".safetensors"


def read_weights(path: str | Path, *, part: str | None = None, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Read a flat state dict, without running any code that a file may hold.

    Args:
        path: file as safetensors writes it, if it ends so; else as `torch.save` does.
        part: name under which the state dict is found in a larger file of PyTorch's, such as a milestone; the default,
            None, looks for none.
        device: where the weights go.

    Returns:
        Name to tensor.

    Raises:
        RefusedError: the file is damaged, or holds something else.
    """
    path = Path(path)
    packed = path.suffix.lower() == SAFETENSORS
    try:
        if packed:
            from safetensors.torch import load_file  # most files are PyTorch's

            return load_file(path, device=str(device))
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes happen to lead to
        expected = f"a whole {'safetensors' if packed else 'PyTorch'} file of weights only"
        raise RefusedError.of("damaged_weights", path.name, expected=expected, got=last_line(error)) from error
    if isinstance(state, Mapping) and part in state and isinstance(state[part], Mapping):
        state = state[part]
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        got = f"keys {', '.join(map(str, list(state)[:3]))}" if isinstance(state, Mapping) else type(state).__name__
        raise RefusedError.of("not_weights", path.name, expected="a flat state dict", got=got)
    return {str(key): tensor for key, tensor in state.items()}


@contextmanager
def safetensors_beside(path: str | Path, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Write weights as `<stem>.safetensors` too, while `path` itself is replaced in the block.

    At no moment does the one of an earlier model lie beside a newer `path`: it goes before the block, and the new one
    appears, whole, after it. A block that fails leaves none.

    Args:
        path: the file that the block replaces.
        state: the same weights, of which no two share memory.

    Example:
        >>> with safetensors_beside("models/model.pt", weights), whole_file("models/model.pt") as file:
        ...     torch.save(weights, file)
    """
    from safetensors.torch import save_file

    twin = Path(path).with_suffix(SAFETENSORS)
    with whole_file(twin) as file:
        # contiguous: the format knows no strides, with which PyTorch keeps weights in the order of channels_last
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        save_file(tensors, file, metadata={"format": "pt"})
        twin.unlink(missing_ok=True)
        yield
