"""Time and memory of `scripts/predict.py` over 10 to 10,000 tiny head CTs with a tiny network; one JSON a line.

`further_study_s` is what each study more than in the row before took: it stays the same where time is linear, and
`largest_mb` and `together_mb`, see `measured_process.Peaks`, where memory is flat.

usage: python -m benchmarks.growth [COUNT ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from conftest import ROOT
from tiny_studies import predict_command, summary_of, write_studies, write_weights

from benchmarks.measured_process import run_measured

COUNTS = (10, 100, 1_000, 10_000)


def main() -> None:
    """Measure each count in a folder of its own."""
    before, before_s = 0, 0.0
    for count in [int(word) for word in sys.argv[1:]] or COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            row = _measure(Path(folder), count)
        row["further_study_s"] = (row["seconds"] - before_s) / (count - before) if before else None
        before, before_s = count, row["seconds"]
        print(json.dumps(row), flush=True)


def _measure(folder: Path, count: int) -> dict[str, float | None]:
    write_studies(folder / "in", count)
    command = predict_command(folder / "in", folder / "out", write_weights(folder / "model.pt"))
    began = time.perf_counter()
    peaks = run_measured(command, cwd=ROOT)
    seconds = time.perf_counter() - began
    if summary_of(folder / "out")["ok"] != count:
        raise RuntimeError(f"growth: expected {count} results, got {summary_of(folder / 'out')}")
    return {"studies": count, "seconds": seconds, "seconds_per_study": seconds / count, **vars(peaks)}


if __name__ == "__main__":
    main()
