"""Write everything that training needs to go on, and go on from it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from custom_transforms.atomic_file import remove_leftovers, whole_file
from custom_transforms.best_model import plain
from custom_transforms.newest_checkpoint import CHOICES, Checkpoint, newest_checkpoint, previous
from custom_transforms.refusal import RefusedError, last_line
from custom_transforms.resources import require_disk

CHECKPOINTS = 3  # at once: the newest, the one before, and any that is being written
MODELS = 3  # the best, as safetensors too, and the best of an earlier run


class TrainingCheckpointHandler:
    """At the end of each epoch, write the state of training to one file; at the start, take it up if asked to.

    The file holds the objects given, the trainer (epoch, iteration, best score) and, under mixed precision, the
    gradient scaler. The one before is kept as `<stem>.previous.pt`: at any moment, killed or not, the newest of them
    is whole. Attach last, so that what others keep in the trainer's state is in it.

    Args:
        path: the file; complete or absent at any moment.
        objects: name to network, optimizer, schedule or whatever else has `state_dict`. MONAI Label offers every file
            `.pt` for inference: of this one it takes the network if its name is `model`, else random weights.
        resume: False starts anew, and overwrites the file after the first epoch. True goes on from it. `auto` goes on
            from the newest whole one, starts anew where there is none, and leaves a training that has ended as it is.

    `max_epochs` must be that of the checkpoint: the schedule of the learning rate runs to it, and would jump.

    Raises:
        ValueError: another `resume`.
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any], *, resume: bool | str = False) -> None:
        self.path = Path(path)
        self.objects = {name: plain(it) if isinstance(it, nn.Module) else it for name, it in objects.items()}
        word = str(resume).lower()  # the command line gives words
        if word not in CHOICES:
            raise ValueError(f"training checkpoint: expected resume to be one of {', '.join(CHOICES)}, got {resume}")
        self.resume = word
        self.stale: Path | None = previous(self.path)  # of a training that nobody goes on with, or damaged

    def attach(self, engine: SupervisedTrainer) -> None:
        """Read when the trainer starts, write at the end of each epoch."""
        engine.add_event_handler(Events.STARTED, self.read)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def write(self, engine: SupervisedTrainer) -> None:
        """Write the file, on the first rank."""
        if idist.get_rank() == 0:
            if self.stale is not None:  # this training must never fall back to it
                self.stale.unlink(missing_ok=True)
            with whole_file(self.path, keep_as=previous(self.path).name if self.stale is None else None) as file:
                states = {name: it.state_dict() for name, it in self._everything(engine).items()}
                torch.save({**states, "ended": bool(engine.should_terminate)}, file)
        self.stale = None

    def read(self, engine: SupervisedTrainer) -> None:
        """Take up the state, where resuming was asked for and there is one.

        A trainer that is started again goes on as it is: in a round of federated training it has its weights.

        Raises:
            RefusedError: there is no file or a damaged one and it must be there, it is of another configuration, or
                training has ended and it must go on; or the disk has no room for checkpoints.
        """
        if engine.state.epoch > 0:
            return
        log = logging.getLogger(__name__)
        remove_leftovers(self.path.parent)
        require_disk(self.path.parent, self._room_bytes(engine))
        if self.resume == "false":
            if self.path.is_file():
                log.warning("%s of an earlier training is overwritten after the first epoch", self.path.name)
            return
        found = newest_checkpoint(self.path, fall_back=self.resume == "auto")
        if found is None:
            log.info("no checkpoint in %s: training begins anew", self.path.parent)
            return
        self._take_up(engine, found)
        self.stale = None if found.path == self.path else self.path
        if found.state.get("ended") or engine.state.epoch >= engine.state.max_epochs:
            if self.resume == "true":
                got = "a training that has ended"
                raise RefusedError.of("nothing_left", found.path.name, expected="epochs left to train", got=got)
            log.info("training has ended after epoch %d, in %s: nothing is left", engine.state.epoch, found.path)
            engine.terminate(skip_completed=True)
        else:
            log.info("resumed after epoch %d from %s", engine.state.epoch, found.path)

    def _take_up(self, engine: SupervisedTrainer, found: Checkpoint) -> None:
        name, state = found.path.name, found.state
        trainer = state.get("trainer", {})
        planned, wanted = trainer.get("max_epochs"), engine.state.max_epochs
        if planned != wanted:
            raise RefusedError.of("other_max_epochs", name, expected=f"max_epochs {planned} as in it", got=str(wanted))
        steps, now = trainer.get("epoch_length"), engine.state.epoch_length
        if steps != now:
            expected = f"{steps} steps an epoch as in it"
            raise RefusedError.of(
                "other_data", name, expected=expected, got=f"{now} (other patients, batches or ranks)"
            )
        try:
            for key, it in self._everything(engine).items():
                it.load_state_dict(state[key])
        except (KeyError, RuntimeError, ValueError) as error:
            raise RefusedError.of(
                "checkpoint_mismatch", name, expected="this configuration's", got=last_line(error)
            ) from error

    def _room_bytes(self, engine: SupervisedTrainer) -> int:
        """Estimate what is written at most, less what is there: a file that is replaced makes room for the next."""
        moved = _bytes(weight for group in engine.optimizer.param_groups for weight in group["params"])
        model = _bytes([*engine.network.parameters(), *engine.network.buffers()])
        whole = model + 2 * moved  # as Adam keeps twice what it moves
        milestones: list[Path] = getattr(engine.state, "milestone_files", [])
        most = (CHECKPOINTS + len(milestones)) * whole + MODELS * model
        folder = self.path.parent
        there = [*folder.glob("*.pt"), *folder.glob("*.safetensors"), *milestones]
        replaced = sum(file.stat().st_size for file in there if file.is_file())
        return max(whole, most - replaced)

    def _everything(self, engine: SupervisedTrainer) -> dict[str, Any]:
        scaler = {"scaler": engine.scaler} if engine.scaler is not None else {}
        return {**self.objects, **scaler, "trainer": engine}


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
