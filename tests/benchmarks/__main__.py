"""Measure every job, print one table, and write it as JSON and as a picture.

usage: python -m benchmarks --output build [--only TEXT] [MODULE ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import draw, table

JOBS = ("reading", "preprocessing", "networks", "training", "loading", "whole_process")
INFO = ("start_up", "growth")


def main() -> None:
    """Run each module on one thread and on all, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=JOBS + INFO)
    parser.add_argument("--output", type=Path, default=Path("build"))
    parser.add_argument("--only", default="", help="jobs whose names hold this text")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows, limits = [], []
    for module in [name for name in options.modules if name in JOBS]:
        for threads in sorted({1, len(os.sched_getaffinity(0))}):
            first, *measured = _lines("one_module", module, "--threads", str(threads), "--only", options.only)
            limits.append(first)
            rows += measured
            _write(rows, options.output / "bench.json")
    info = {"limits": limits}
    for module in [name for name in options.modules if name in INFO]:
        info[module] = _lines(module)
        _write({"info": info}, options.output / "bench_info.json")
    print(table(rows), json.dumps(info, indent=1), sep="\n\n")
    draw(rows, options.output / "bench.png")


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
