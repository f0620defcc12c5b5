"""Let a training that is interrupted finish its step."""

from __future__ import annotations

import ignite.distributed as idist
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from custom_transforms.interruption import INTERRUPTION


class FinishStepHandler:
    """Hold back the signals that end a run while a trainer is in a step; end it when the step is done.

    The epoch that is cut off so is repeated from its start by a resumed training, which then ends where an
    uninterrupted one does. Several ranks end after the same step, whichever of them got the signal, since one that
    left early would keep the others waiting. Attach before `ValidationHandler`.
    """

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run around each iteration."""
        engine.add_event_handler(Events.ITERATION_STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.release)

    def begin(self) -> None:
        """Hold back."""
        INTERRUPTION.in_step = True

    def __call__(self) -> None:
        """End if that was asked for."""
        together = idist.get_world_size() > 1
        if idist.all_reduce(int(INTERRUPTION.asked)) if together else INTERRUPTION.asked:
            INTERRUPTION.end()
        INTERRUPTION.in_step = together  # ranks also wait for their next batch together

    def release(self) -> None:
        """Hold back no longer: validation and writing may end at once."""
        INTERRUPTION.in_step = False
        if INTERRUPTION.asked:
            INTERRUPTION.end()
