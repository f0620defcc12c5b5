"""The same work on a local Ray cluster, with workers that are killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from tiny_studies import predict_command, summary_of, write_studies, write_weights

from custom_transforms.runs.ledger import DONE, Row, newest_rows, read_row, read_rows

STUDIES = 30
KILLER, UNLUCKY = "study_0011", "study_0017"
STEP = '''
import os, signal
from pathlib import Path

class KillWorkerd:
    """Kill the process over one study always, over another the first time."""

    def __init__(self, killer, unlucky, mark):
        self.killer, self.unlucky, self.mark = killer, unlucky, mark

    def __call__(self, data):
        if data["case"] == self.unlucky and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if data["case"] == self.killer:
            os.kill(os.getpid(), signal.SIGKILL)
        return data
'''


def rows_of(output: Path) -> dict[str, Row]:
    return {row["case"]: row for row in (read_row(entry) for entry in newest_rows(output).values())}


@pytest.mark.soak
def test_killed_workers_lose_nothing_and_predictions_are_those_of_one_machine(tmp_path: Path) -> None:
    write_studies(tmp_path / "in", STUDIES, damaged=3)
    weights = write_weights(tmp_path / "model.pt")
    (tmp_path / "killing.py").write_text(STEP)
    step = {"_target_": "killing.KillWorkerd", "killer": KILLER, "unlucky": UNLUCKY, "mark": str(tmp_path / "mark")}
    config = tmp_path / "killing.json"
    config.write_text(json.dumps({"steps::killing": step}))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    environment["OMP_NUM_THREADS"] = "1"  # as Ray gives its actors; another number of threads rounds otherwise

    def run(output: Path, *words: str) -> int:
        command = predict_command(tmp_path / "in", output, weights, "--overlay", config, *words)
        return subprocess.run(command, cwd=ROOT, check=False, env=environment).returncode

    (tmp_path / "mark").touch()
    assert run(tmp_path / "local") == 2
    (tmp_path / "mark").unlink()
    assert run(tmp_path / "ray", "--engine", "ray") == 2
    local, found = rows_of(tmp_path / "local"), rows_of(tmp_path / "ray")
    assert summary_of(tmp_path / "ray") == summary_of(tmp_path / "local")
    assert summary_of(tmp_path / "ray")["failed_by_reason"] == {"killed_worker": 1}
    shared = {case for case, row in local.items() if row["code"] != "killed_worker"}
    assert len(shared) == STUDIES - 1
    for case in shared:
        assert found[case]["table"] == local[case]["table"]
        assert found[case]["outputs"] == local[case]["outputs"]
    ends = [row["row"] for _, row in read_rows(tmp_path / "ray" / "ledger.jsonl") if row["status"] in DONE]
    assert len(ends) == len(set(ends)) == STUDIES
