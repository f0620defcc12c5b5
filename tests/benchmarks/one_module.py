"""Measure the jobs of one module in a process of its own, so that no setting or memory of another stays behind.

usage: python -m benchmarks.one_module MODULE --threads N [--only TEXT]   (prints one object of JSON a line)
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.job import measure
from benchmarks.limits import measure_limits


def main() -> None:
    """Set the threads, then measure job after job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--only", default="", help="jobs whose names hold this text")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # of whatever library, and of children
    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # of the processes that a job starts
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    limits = measure_limits(options.device, options.threads)
    print(json.dumps({"device": device, "threads": options.threads, "limits": vars(limits)}), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for job in importlib.import_module(f"benchmarks.{options.module}").jobs(Path(folder), options.threads):
            if options.only in job.name:
                print(f"  {job.name}", file=sys.stderr, flush=True)
                print(json.dumps(measure(job, limits, device=device, threads=options.threads)), flush=True)


if __name__ == "__main__":
    main()
