"""The order in which an epoch visits patients: each once, both classes spread evenly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ignite.distributed as idist
import numpy as np
from torch.utils.data.distributed import DistributedSampler

from custom_transforms.patient_bag import BagsDataset


class BalancedPatientSampler(DistributedSampler[Any]):
    """Visit every patient once an epoch, in random order, so that any stretch holds the classes in their proportion.

    A plain shuffle gives runs of one class, and with a few patients a step such a run is a biased step. Weighted
    sampling would repeat patients of the rare class and leave others out. It also shares patients between ranks; a
    few are visited twice where they cannot be shared evenly.

    Args:
        dataset: items with `label`.
        seed: the order of epoch e comes from it and e alone; `EpochSeedHandler` tells the epoch.
    """

    def __init__(self, dataset: BagsDataset, seed: int = 0) -> None:
        super().__init__(dataset, num_replicas=idist.get_world_size(), rank=idist.get_rank(), seed=seed)
        self.labels = np.array([item.get("label", 0) for item in dataset.data], dtype=np.int64)

    def __iter__(self) -> Iterator[int]:
        """Give this rank's share of the epoch's order."""
        order = balanced_order(self.labels, np.random.RandomState((self.seed + self.epoch) % 2**32))
        shared = np.resize(order, self.total_size)
        return iter(shared[self.rank :: self.num_replicas].tolist())


def balanced_order(labels: np.ndarray[Any, Any], random: np.random.RandomState) -> np.ndarray[Any, Any]:
    """Shuffle positions so that each class is spread evenly.

    The k-th of a class's n members, in shuffled order, gets the place (k + u) / n with u uniform in 0..1; places are
    then sorted. In any stretch of length L a class has its share of L, give or take one or two.

    Args:
        labels: class of each patient `(P,)`.
        random: source of the order.

    Returns:
        a permutation `(P,)`.
    """
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + random.random_sample(len(members))) / len(members)
    return np.argsort(place, kind="stable")
