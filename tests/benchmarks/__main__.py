"""Measure every job, print one table, and write it as JSON and as a picture.

usage: python -m benchmarks [--output build] [--only TEXT] [MODULE ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import draw, table

JOBS = ("reading", "preprocessing", "networks", "training", "loading", "whole_process", "gpu")
INFO = ("gpu_throughput", "start_up", "growth")


def main() -> None:
    """Run each module on one thread and on all, or on the GPU, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=JOBS + INFO, metavar="MODULE", help=", ".join(JOBS + INFO))
    parser.add_argument("--output", type=Path, default=Path("build"))
    parser.add_argument("--only", default="", help="jobs whose names hold this text")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[Any] = []
    info: dict[str, Any] = {"machines": []}
    for module in options.modules:
        if module in INFO:
            info[module] = _lines(module)
        for place in _places(module) if module in JOBS else ():
            machine, *measured = _lines("one_module", module, *place, "--only", options.only)
            info["machines"].append(machine)
            rows += measured
        _write(rows, options.output / "bench.json")
        _write({"info": info}, options.output / "bench_info.json")
    print(table(rows), json.dumps(info, indent=1), sep="\n\n")
    if "gpu" in options.modules and not torch.cuda.is_available():
        print("\nGPU: not measured, as there is none here")
    draw(rows, options.output / "bench.png")


def _places(module: str) -> list[tuple[str, ...]]:
    """Give the options of each run of a module."""
    threads = len(os.sched_getaffinity(0))
    if module == "gpu":
        return [("--threads", str(threads), "--device", "cuda")] if torch.cuda.is_available() else []
    return [("--threads", str(count)) for count in sorted({1, threads})]


def _lines(module: str, *words: str) -> list[Any]:
    """Run a module, which prints JSON line by line; it says on standard error how far it is."""
    print(" ".join((module, *words)), file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _write(content: object, file: Path) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
