"""Keep the best model, and stop when it no longer gets better."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import ignite.distributed as idist
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from custom_transforms.atomic_file import whole_file
from custom_transforms.newest_checkpoint import previous
from custom_transforms.refusal import RefusedError
from custom_transforms.safe_weights import safetensors_beside

STATE = ("best_score", "best_score_epoch")  # kept with the trainer's own state, so that a resumed run knows them


class BestModelHandler:
    """After each validation, write the network if its score is the best so far; end training after a long wait.

    MONAI's `CheckpointSaver` takes NaN for a record and forgets the record on resume; here NaN never wins, and the
    record is part of the trainer's state. Attach after `ValidationHandler`, which makes the score.

    Args:
        evaluator: engine whose key metric is the score; higher is better.
        network: what is written, as one flat state dict without the prefix of data-parallel training.
        path: file of the best model; complete or absent at any moment. One of an earlier run is kept beside it as
            `<stem>.previous.pt`. The same weights are written as `<stem>.safetensors`.
        patience: epochs without a better score after which training ends. A trainer that is started again, as in
            every round of federated training, waits anew.

    Raises (when training ends):
        RefusedError: `no_model`, no validation gave a score.
    """

    def __init__(self, evaluator: SupervisedEvaluator, network: nn.Module, path: str | Path, *, patience: int) -> None:
        self.evaluator = evaluator
        self.network = network
        self.path = Path(path)
        self.patience = patience
        self.start = 0
        self.logger = logging.getLogger(__name__)

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run at the end of each of the trainer's epochs."""
        engine.state.best_score, engine.state.best_score_epoch = -math.inf, 0
        engine.state_dict_user_keys.extend(STATE)
        engine.add_event_handler(Events.STARTED, self.note_start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.require_model)

    def note_start(self, engine: SupervisedTrainer) -> None:
        """Remember the epoch after which the trainer starts; 0 where it is about to read a checkpoint."""
        self.start = engine.state.epoch

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Compare, write, and end training if it is time."""
        state, epoch = engine.state, engine.state.epoch
        if self.evaluator.state.epoch == epoch:  # else this epoch had no validation
            score = float(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])
            if score > state.best_score:  # false for NaN
                self._write(of_a_new_run=state.best_score_epoch == 0)
                state.best_score, state.best_score_epoch = score, epoch
                self.logger.info("epoch %d: best model so far, score %.4f", epoch, score)
        if epoch - max(state.best_score_epoch, self.start) >= self.patience:
            self.logger.info("no better score since epoch %d: training ends", state.best_score_epoch)
            engine.terminate()

    def require_model(self, engine: SupervisedTrainer) -> None:
        """Refuse to call a training finished that has no model to show.

        Raises:
            RefusedError: no validation gave a score, as where `val_interval` exceeds `max_epochs` or all were NaN.
        """
        if engine.state.best_score_epoch == 0:
            expected = "a validation with a score (val_interval up to max_epochs)"
            raise RefusedError.of("no_model", self.path.name, expected=expected, got="none")

    def _write(self, *, of_a_new_run: bool) -> None:
        if idist.get_rank() != 0:
            return
        weights = plain(self.network).state_dict()
        # the first epoch of a new run is no match for what was there
        keep_as = previous(self.path).name if of_a_new_run else None
        with safetensors_beside(self.path, weights), whole_file(self.path, keep_as=keep_as) as file:
            torch.save(weights, file)


def plain(network: nn.Module) -> nn.Module:
    """Take the network out of its data-parallel wrapper, if it is in one."""
    return network.module if isinstance(network, DistributedDataParallel) else network
