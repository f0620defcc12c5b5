"""Find the newest checkpoint that is whole."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from custom_transforms.refusal import RefusedError, last_line

CHOICES = ("false", "true", "auto")  # of `resume`


class Checkpoint(NamedTuple):
    """What was found."""

    path: Path
    state: Mapping[str, Any]


def previous(path: Path) -> Path:
    """Name the checkpoint before the newest."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def newest_checkpoint(path: Path, *, fall_back: bool) -> Checkpoint | None:
    """Read the newest checkpoint.

    Args:
        path: of the newest.
        fall_back: take the one before, with a warning, where the newest is damaged or absent; and None where there is
            no whole one.

    Raises:
        RefusedError: without `fall_back`, the file is absent or damaged.
    """
    if not fall_back:
        if not path.is_file():
            expected = "a checkpoint to resume"
            raise RefusedError.of("missing_checkpoint", path.name, expected=expected, got="no such file")
        return Checkpoint(path, read_checkpoint(path))
    for candidate in (path, previous(path)):
        if candidate.is_file():
            try:
                return Checkpoint(candidate, read_checkpoint(candidate))
            except RefusedError as error:
                logging.getLogger(__name__).warning("%s", error)
    return None


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Read a checkpoint, to the processor's memory and without running code that it may hold.

    Raises:
        RefusedError: it is damaged. Torch itself takes no notice of a changed byte; the file's own checksums do.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
        if wrong is not None:
            raise ValueError(f"another checksum in {wrong}")
        state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes happen to lead to
        expected = "a whole checkpoint (resume auto takes the one before)"
        raise RefusedError.of("damaged_checkpoint", path.name, expected=expected, got=last_line(error)) from error
    return state
