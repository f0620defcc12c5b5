"""Write everything that training needs to go on, and go on from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import nn

from custom_transforms.atomic_file import whole_file
from custom_transforms.best_model import plain
from custom_transforms.refusal import RefusedError, last_line


class TrainingCheckpointHandler:
    """At the end of each epoch, write the state of training to one file; at the start, take it up if asked to.

    The file holds the objects given, the trainer (epoch, iteration, best score) and, under mixed precision, the
    gradient scaler. Attach last, so that what others keep in the trainer's state is in it.

    Args:
        path: the file; complete or absent at any moment.
        objects: name to network, optimizer, schedule or whatever else has `state_dict`.
        resume: continue from the file. False starts anew, and overwrites it after the first epoch.

    `max_epochs` must be that of the checkpoint: the schedule of the learning rate runs to it, and would jump.
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = Path(path)
        self.objects = {name: plain(it) if isinstance(it, nn.Module) else it for name, it in objects.items()}
        self.resume = resume

    def attach(self, engine: SupervisedTrainer) -> None:
        """Read when the trainer starts, write at the end of each epoch."""
        engine.add_event_handler(Events.STARTED, self.read)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def write(self, engine: SupervisedTrainer) -> None:
        """Write the file, on the first rank."""
        if idist.get_rank() == 0:
            with whole_file(self.path) as file:
                torch.save({name: it.state_dict() for name, it in self._everything(engine).items()}, file)

    def read(self, engine: SupervisedTrainer) -> None:
        """Take up the state, where resuming was asked for.

        Raises:
            RefusedError: the file is absent, is of another configuration, or training has ended.
        """
        if not self.resume:
            return
        name = self.path.name
        if not self.path.is_file():
            raise RefusedError.of("missing_checkpoint", name, expected="a checkpoint to resume", got="no such file")
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        planned, wanted = state.get("trainer", {}).get("max_epochs"), engine.state.max_epochs
        if planned != wanted:
            raise RefusedError.of("other_max_epochs", name, expected=f"max_epochs {planned} as in it", got=str(wanted))
        try:
            for key, it in self._everything(engine).items():
                it.load_state_dict(state[key])
        except (KeyError, RuntimeError, ValueError) as error:
            raise RefusedError.of(
                "checkpoint_mismatch", name, expected="this configuration's", got=last_line(error)
            ) from error
        if engine.state.epoch >= engine.state.max_epochs:
            raise RefusedError.of(
                "nothing_left", name, expected="epochs left to train", got="a training that has ended"
            )
        logging.getLogger(__name__).info("resumed after epoch %d from %s", engine.state.epoch, self.path)

    def _everything(self, engine: SupervisedTrainer) -> dict[str, Any]:
        scaler = {"scaler": engine.scaler} if engine.scaler is not None else {}
        return {**self.objects, **scaler, "trainer": engine}
