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
GRADIENT_ALONE = 1  # is not finite; 0: everything is, 2 and 3: the loss is not


class SkipBadStepsHandler:
    """Between the backward pass and the optimizer's step of a `SupervisedTrainer`, undo what one NaN would spoil.

    One step with a NaN makes every weight NaN for good. Such a step is left out: gradients are taken away, which all
    of torch's optimizers pass over, and the network's buffers, as the statistics of batch norm, are put back. All ranks
    leave out the same steps. Attach before `GradientClipHandler`.

    Under mixed precision the gradient is scaled up, and overflows now and then by design: the scaler halves its scale
    at each such step until the gradient fits. So these do not count towards the end of training while the scale is
    above 1. From 65536, with which the scaler starts, that is 16 steps; at 1 it is the gradient itself that is not
    finite, and a further one has no such excuse.

    Args:
        network: whose gradients and buffers they are.
        max_bad_steps: so many steps in a row, those without excuse, end the training.

    The trainer's state counts all `skipped_steps` of the whole training, and `skipped_in_a_row` without excuse.
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
        fault = self._fault(engine.state.output["loss"])
        if not fault:
            engine.state.skipped_in_a_row = 0
            return
        engine.state.skipped_steps += 1
        self._tell(engine, by_design=fault == GRADIENT_ALONE and _is_scaled_up(engine))
        for parameter in self.network.parameters():
            if parameter.grad is not None and engine.scaler is not None:
                parameter.grad.fill_(math.nan)  # by which the scaler knows
            else:
                parameter.grad = None
        for copy, buffer in zip(self.buffers, self.network.buffers(), strict=True):
            buffer.copy_(copy)

    def _tell(self, engine: SupervisedTrainer, *, by_design: bool) -> None:
        state = engine.state
        of_ranks = of_all_ranks(list(state.batch.get("case", [])))
        cases = ", ".join(dict.fromkeys(case for part in of_ranks for case in part)) or "without names"
        told = "epoch %d, iteration %d: loss or gradient is not finite, step left out; cases %s"
        level = logging.INFO if by_design else logging.WARNING
        logging.getLogger(__name__).log(level, told, state.epoch, state.iteration, cases)
        state.skipped_in_a_row += not by_design
        if state.skipped_in_a_row >= self.max_bad_steps:
            got = f"{state.skipped_in_a_row} steps in a row without, the last of cases {cases}"
            raise NotFiniteError.of("not_finite", "training", expected="finite loss and gradient", got=got)

    def _fault(self, loss: Tensor) -> int:
        """Tell the worst of all ranks, since a loss is of one alone; see `GRADIENT_ALONE`."""
        gradients = [weight.grad for weight in self.network.parameters() if weight.grad is not None]
        bad_loss, bad_gradient = ~loss.detach().isfinite().all(), ~get_total_norm(gradients).isfinite()
        fault = int(2 * bad_loss + bad_gradient)
        return int(idist.all_reduce(fault, op="MAX") if idist.get_world_size() > 1 else fault)


def _is_scaled_up(engine: SupervisedTrainer) -> bool:
    return engine.scaler is not None and engine.scaler.get_scale() > 1
