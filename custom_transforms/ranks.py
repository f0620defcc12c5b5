"""What the processes of a distributed run tell each other."""

from __future__ import annotations

from typing import TypeVar

import torch.distributed as dist

Part = TypeVar("Part")


def of_all_ranks(part: Part) -> list[Part]:
    """Gather what each rank has, in the order of ranks; without a process group, from this process alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return [part]
    of_ranks = [part for _ in range(dist.get_world_size())]
    dist.all_gather_object(of_ranks, part)
    return of_ranks
