"""Very many studies, some damaged, killed on the way: nothing is lost, nothing is done twice, memory stays flat."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from sizes import STUDIES, STUDY_KILLS
from tiny_studies import predict_command, summary_of, write_studies, write_weights

from custom_transforms.runs.ledger import DONE, read_rows

DAMAGED = STUDIES // 20
OWN_FILES = {"ledger.jsonl", "summary.json", "predictions.csv"}


def count_done(output: Path) -> int:
    ledger = output / "ledger.jsonl"
    return sum(row["status"] in DONE for _, row in read_rows(ledger)) if ledger.exists() else 0


def run_until(done: int, command: list[str], output: Path, *, log: Path, whole_group: bool) -> None:
    """Start a run and kill it, with all of its processes or its first alone, once so many studies are done."""
    with log.open("ab") as stream:
        process = subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=stream, start_new_session=True)
    while count_done(output) < done:
        assert process.poll() is None, log.read_text()[-2000:]
        time.sleep(0.05)
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of all studies, after several kills."""
    folder = tmp_path_factory.mktemp("many")
    write_studies(folder / "in", STUDIES, damaged=DAMAGED)
    command = predict_command(folder / "in", folder / "out", write_weights(folder / "model.pt"))
    for kill in range(STUDY_KILLS):
        done = STUDIES * (kill + 1) // (STUDY_KILLS + 1)
        run_until(done, command, folder / "out", log=folder / "log", whole_group=kill % 2 == 0)
    last = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert last.returncode == 2, last.stderr[-2000:]
    return folder / "out"


def test_counts_add_up_and_every_study_is_in_the_table_once(output: Path) -> None:
    summary = summary_of(output)
    expected = {"studies": STUDIES, "ok": STUDIES - DAMAGED, "refused": DAMAGED, "failed": 0, "pending": 0}
    assert {name: summary[name] for name in expected} == expected
    with (output / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["case"] for row in rows) == [f"study_{number:04d}" for number in range(STUDIES)]
    assert all((row["status"] == "ok") == bool(row["probability"]) for row in rows)


def test_nothing_was_done_twice(output: Path) -> None:
    ends = Counter(row["row"] for _, row in read_rows(output / "ledger.jsonl") if row["status"] in DONE)
    assert set(ends.values()) == {1}
    assert not any(row["status"] == "died" for _, row in read_rows(output / "ledger.jsonl"))  # killed from outside


def test_files_are_those_of_the_ledger_and_whole(output: Path) -> None:
    rows = [row for _, row in read_rows(output / "ledger.jsonl") if row["status"] == "ok"]
    named = {name for row in rows for name in row["outputs"]}
    assert len(named) == 2 * (STUDIES - DAMAGED)
    assert {file.name for file in output.iterdir() if not file.name.startswith(".lock")} == named | OWN_FILES


@pytest.mark.soak
def test_memory_stays_flat(output: Path) -> None:
    """Peaks of both processes in a run that nobody kills, without its first quarter, in which they still warm up."""
    source, weights, flat = output.parent / "in", output.parent / "model.pt", output.parent / "flat"
    assert subprocess.run(predict_command(source, flat, weights), cwd=ROOT, check=False).returncode == 2
    rows = [row for _, row in read_rows(flat / "ledger.jsonl") if row["status"] == "ok"]
    rows = rows[len(rows) // 4 :]
    for stage in ("preparing", "inference"):
        slope, _ = np.polyfit(np.arange(len(rows)), [row["peak_mb"][stage] for row in rows], 1)
        assert slope * 1000 < 1, stage
