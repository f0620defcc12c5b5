"""Leave out a training step whose loss or gradient is not finite, and end a training that has no other."""

from __future__ import annotations

import logging
import math

import ignite.distributed as idist
import torch
from ignite.engine import Events
from monai.engines import IterationEvents, SupervisedTrainer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from custom_transforms.ranks import of_all_ranks
from custom_transforms.refusal import NotFiniteError

STATE = ("skipped_steps", "skipped_in_a_row")  # kept with the trainer's own state, so that a resumed run knows them


class SkipBadStepsHandler:
    """Between the backward pass and the optimizer's step of a `SupervisedTrainer`, undo what one NaN would spoil.

    One step with a NaN makes every weight NaN for good. Such a step is left out: gradients are taken away, which all
    of torch's optimizers pass over, and the network's buffers, as the statistics of batch norm, are put back. Under
    mixed precision gradients overflow now and then by design, and the scaler itself leaves such steps out; so there
    only the loss counts. All ranks leave out the same steps. Attach before `GradientClipHandler`.

    Args:
        network: whose gradients and buffers they are.
        max_bad_steps: so many steps in a row end the training.

    The trainer's state counts `skipped_steps` of the whole training, and `skipped_in_a_row`.
    """

    def __init__(self, network: nn.Module, max_bad_steps: int = 3) -> None:
        if max_bad_steps < 1:
            raise ValueError(f"bad steps: expected max_bad_steps of at least 1, got {max_bad_steps}")
        self.network = network
        self.max_bad_steps = max_bad_steps
        self.buffers: list[Tensor] = []

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run before each iteration and when the gradient is there."""
        engine.state.skipped_steps = engine.state.skipped_in_a_row = 0
        engine.state_dict_user_keys.extend(STATE)
        engine.add_event_handler(Events.ITERATION_STARTED, self.keep_buffers)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def keep_buffers(self) -> None:
        """Remember the buffers, which the forward pass may change; copies are made once and overwritten ever after."""
        buffers = list(self.network.buffers())
        if len(self.buffers) != len(buffers):
            self.buffers = [torch.empty_like(buffer) for buffer in buffers]
        for copy, buffer in zip(self.buffers, buffers, strict=True):
            copy.copy_(buffer)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Leave out the step if it is bad.

        Raises:
            NotFiniteError: it is one too many.
        """
        state = engine.state
        scaled = engine.amp and engine.scaler is not None
        bad = self._is_bad(state.output["loss"], of_gradient=not scaled)
        state.skipped_in_a_row = state.skipped_in_a_row + 1 if bad else 0
        if not bad:
            return
        state.skipped_steps += 1
        of_ranks = of_all_ranks(list(state.batch.get("case", [])))
        cases = ", ".join(dict.fromkeys(case for part in of_ranks for case in part)) or "without names"
        told = "epoch %d, iteration %d: loss or gradient is not finite, step left out; cases %s"
        logging.getLogger(__name__).warning(told, state.epoch, state.iteration, cases)
        if state.skipped_in_a_row >= self.max_bad_steps:
            got = f"{state.skipped_in_a_row} steps in a row without, the last of cases {cases}"
            raise NotFiniteError.of("not_finite", "training", expected="finite loss and gradient", got=got)
        for parameter in self.network.parameters():
            if parameter.grad is not None and scaled:
                parameter.grad.fill_(math.nan)  # by which the scaler knows
            else:
                parameter.grad = None
        for copy, buffer in zip(self.buffers, self.network.buffers(), strict=True):
            buffer.copy_(copy)

    def _is_bad(self, loss: Tensor, *, of_gradient: bool) -> bool:
        sound = loss.detach().isfinite().all()
        if of_gradient:
            gradients = [weight.grad for weight in self.network.parameters() if weight.grad is not None]
            sound = sound & get_total_norm(gradients).isfinite()
        bad = int(not sound)
        return bool(idist.all_reduce(bad) if idist.get_world_size() > 1 else bad)  # a loss is of one rank alone
