"""Clip the norm of the gradient before each optimizer step."""

from __future__ import annotations

from monai.engines import IterationEvents, SupervisedTrainer
from torch.nn.utils import clip_grad_norm_


class GradientClipHandler:
    """Clip between the backward pass and the optimizer's step of a `SupervisedTrainer`.

    Args:
        max_norm: largest norm of the gradient over all parameters.

    Raises:
        ValueError: the norm is not above 0.
    """

    def __init__(self, max_norm: float) -> None:
        if max_norm <= 0:
            raise ValueError(f"gradient clip: expected max_norm above 0, got {max_norm}")
        self.max_norm = max_norm

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run when the gradient is there."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Clip; under mixed precision the gradient is unscaled first."""
        if engine.amp and engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        clip_grad_norm_(engine.network.parameters(), self.max_norm)
