"""One job done two ways: plainly, and as the bundles do it; timed in turn and compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.limits import Limits

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Job:
    """What is timed.

    Args:
        name: as the table shows it.
        baseline: plain code, slice by slice; its result is the truth.
        ours: the same by the bundles' own code.
        equal: tells of the two results whether they are equal within the tolerance.
        tolerance: says which, and why it is enough.
        flops: operations on floating-point numbers that the job cannot do without, a multiplication with its addition
            being two.
        precision: of these operations in `ours`.
        moved_bytes: that have to be read and written once.
        runs: of each, after one that is not counted.
        to_reach: how many times as fast as the baseline it is meant to be.
        describe: says of the two results what a reader should see beside `equal`, such as a shift or peak memory.
    """

    name: str
    baseline: Callable[[], Any]
    ours: Callable[[], Any]
    equal: Callable[[Any, Any], bool]
    tolerance: str
    flops: float = 0.0
    precision: Precision = "float32"
    moved_bytes: float = 0.0
    runs: int = 5
    to_reach: float | None = None
    describe: Callable[[Any, Any], str] = lambda baseline, ours: ""


def measure(job: Job, limits: Limits, *, device: str, threads: int) -> dict[str, Any]:
    """Time both ways in turn, so that a machine that slows down slows both, and give the row of the table.

    `limit_s` is the time that the machine's matrix product and memory copy would take for the job's operations and
    bytes, whichever is more; `ratio_to_baseline` is how many times as fast as the baseline, `ratio_to_limit` which part
    of the limit's speed (1 is all that the machine can do).
    """
    expected, found = job.baseline(), job.ours()
    pairs = [(_seconds(job.baseline), _seconds(job.ours)) for _ in range(job.runs)]
    baseline_s, ours_s = (median(times) for times in zip(*pairs, strict=True))
    limit_s = limits.seconds(flops=job.flops, moved_bytes=job.moved_bytes, precision=job.precision)
    return {
        "job": job.name,
        "baseline_s": baseline_s,
        "ours_s": ours_s,
        "limit_s": limit_s,
        "ratio_to_baseline": baseline_s / ours_s,
        "ratio_to_limit": limit_s / ours_s if limit_s else None,
        "equal": bool(job.equal(expected, found)),
        "tolerance": job.tolerance,
        "device": device,
        "threads": threads,
        "to_reach": job.to_reach,
        "note": job.describe(expected, found),
    }


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
