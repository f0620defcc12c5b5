"""Seed every epoch from its number, so that a resumed training draws what an uninterrupted one would have drawn."""

from __future__ import annotations

import ignite.distributed as idist
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.transforms import Randomizable
from monai.utils import set_determinism
from torch.utils.data.distributed import DistributedSampler


class EpochSeedHandler:
    """At the start of each epoch, seed torch, numpy, random, the data set, and the order of a distributed sampler.

    A data loader makes its order, and the seeds of its workers, from torch's generator when the epoch's first batch
    is asked for, which is after this. Without workers the data set draws in this process and is seeded here.

    Args:
        seed: of the run. Epoch e on rank r of n has the seed `seed + e n + r`.
        dataset: what the trainer draws from.
    """

    def __init__(self, seed: int, dataset: Randomizable) -> None:
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run when an epoch starts."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Seed."""
        seed = self.seed + engine.state.epoch * idist.get_world_size() + idist.get_rank()
        set_determinism(seed=seed)
        self.dataset.set_random_state(seed=seed)
        sampler = getattr(engine.data_loader, "sampler", None)
        if isinstance(sampler, DistributedSampler):
            sampler.set_epoch(engine.state.epoch)
