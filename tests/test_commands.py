"""The demo's small commands: what they print, and one line with exit status 2 where they cannot."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


def run(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / script), *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_time_is_estimated_from_names_and_one_case(phantoms: Path) -> None:
    result = run("estimate_time.py", phantoms, "--slice-size", "[48,48]")
    assert result.returncode == 0, result.stderr
    low, high = map(int, re.search(r"take (\d+) to (\d+) min on this machine, for 6 cases", result.stdout).groups())  # type: ignore[union-attr]
    assert 1 <= low <= high <= 30


def test_results_are_shown_with_interval_and_floor(tmp_path: Path) -> None:
    dice = {"value": 0.8, "low": 0.7, "high": 0.9, "patients": 8}
    few = {"value": 0.6, "low": None, "high": None, "patients": 2}
    floor = {"mean_dice": 0.4, "regions": [{"region": "WT", "dice": 0.5}]}
    summary = {"note": "Synthetic.", "patients": 8, "mean_dice": dice, "regions": {"WT": {"mean_dice": few}}}
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "metrics.json").write_text(json.dumps({**summary, "best_single_threshold": floor}))
    lines = run("show_results.py", tmp_path).stdout.splitlines()
    assert lines[1] == "Synthetic. Mean Dice of patients not used for training: 8"
    assert lines[3].split() == ["mean", "0.800", "0.700", "to", "0.900", "0.400"]
    assert lines[4].split() == ["WT", "0.600", "too", "few", "patients", "0.500"]
    assert str(tmp_path / "eval" / "overlays") in lines[-4]


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("estimate_time.py", "none"),
        ("show_results.py", "none"),
        ("explore_data_set.py", "none"),
        ("format_configs.py", "none"),
    ],
)
def test_missing_input_is_one_line_and_status_two(script: str, word: str) -> None:
    result = run(script, word)
    assert result.returncode == 2
    assert re.match(r"(\w+)(\.py)?: .*none", result.stderr.strip().splitlines()[-1])
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_demo_refuses_a_folder_that_is_not_there() -> None:
    result = subprocess.run(["scripts/demo.sh", "/none"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, "demo: expected a folder of labelled cases, got /none\n")
