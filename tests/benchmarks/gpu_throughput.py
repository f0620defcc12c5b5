"""Patients a second from files to results on a GPU, and how busy it is; prints one object of JSON a bundle.

Counted from the first result to the last, so that what a run takes to start counts once and not here. The networks are
of full size and untrained, the patients phantoms.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from conftest import BRATS, CT, ROOT
from monai.bundle import ConfigParser

from benchmarks.gpu_data import write_phantoms

SAMPLE_SECONDS = 0.05


class BusyShare:
    """How much of the time the GPU has something to do, as its driver counts, while a block runs."""

    def __enter__(self) -> BusyShare:
        """Begin to look."""
        self.samples: list[tuple[float, int]] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self.ended.set()
        self.thread.join()

    def between(self, first: float, last: float) -> float:
        """Give the share, 0..1, of the time between two moments, in seconds since 1970."""
        return mean(percent for moment, percent in self.samples if first <= moment <= last) / 100

    def _look(self) -> None:
        while not self.ended.wait(SAMPLE_SECONDS):
            self.samples.append((time.time(), torch.cuda.utilization()))


def main() -> None:
    """Make phantoms, then run each bundle over them as `scripts/predict.py` does."""
    if not torch.cuda.is_available():
        print(json.dumps({"patients a second on a GPU": "not measured: no GPU here"}))
        return
    workers = max(1, len(os.sched_getaffinity(0)) - 2)
    with tempfile.TemporaryDirectory() as folder:
        data_sets = write_phantoms(Path(folder) / "phantoms", workers=workers)
        for bundle, studies in ((CT, data_sets[CT] / "CTs"), (BRATS, data_sets[BRATS])):
            print(json.dumps(measure(bundle, studies, Path(folder) / bundle.name, workers)), flush=True)


def measure(bundle: Path, studies: Path, output: Path, workers: int) -> dict[str, Any]:
    """Run a bundle over studies with so many processes that prepare them."""
    output.mkdir()
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    torch.save(parser.get_parsed_content("network_def").state_dict(), output / "model.pt")
    command = [sys.executable, str(ROOT / "scripts/predict.py"), "--bundle", bundle.name, "--input", str(studies)]
    command += ["--output", str(output), "--checkpoint", str(output / "model.pt"), "--num_workers", str(workers)]
    with BusyShare() as busy:
        began = time.time()
        subprocess.run(command, stdout=sys.stderr, check=True)
        seconds = time.time() - began
    rows = [json.loads(line) for file in output.glob("*.jsonl") for line in file.read_text().splitlines()]
    done = [row for row in rows if row.get("status") == "ok"]
    first, *_, last = sorted(datetime.fromisoformat(row["date"]).timestamp() for row in done)
    return {
        "job": f"{bundle.name}, files to results",
        "device": torch.cuda.get_device_name(),
        "patients": len(done),
        "workers": workers,
        "patients_per_second": (len(done) - 1) / (last - first),
        "gpu_busy_share": busy.between(first, last),
        "seconds_of_all_with_start": seconds,
        "mean_seconds": {step: mean(row["seconds"][step] for row in done) for step in ("preparing", "inference")},
    }


if __name__ == "__main__":
    main()
