"""The benchmarks' own parts; what they measure is not measured here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from benchmarks.__main__ import INFO, JOBS
from benchmarks.job import Job, measure
from benchmarks.limits import Limits
from benchmarks.report import draw, table

KEYS = {"job", "baseline_s", "ours_s", "limit_s", "ratio_to_baseline", "ratio_to_limit", "equal", "tolerance"}
LIMITS = Limits(float32=1e9, bfloat16=4e9, copied=1e9)


def row(**changes: Any) -> dict[str, Any]:
    given = {"name": "sum", "baseline": lambda: 4, "ours": lambda: 4, "equal": lambda one, two: one == two}
    return measure(Job(**{**given, "tolerance": "exact", **changes}), LIMITS, device="cpu", threads=1)


@pytest.mark.parametrize("module", JOBS)
def test_every_module_has_jobs(module: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{module}").jobs)


@pytest.mark.parametrize("module", INFO)
def test_every_module_of_information_can_be_run(module: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{module}").main)


def test_a_row_says_all_and_tells_equal_from_unequal() -> None:
    equal, other = row(flops=1e6), row(ours=lambda: 5, describe=lambda one, two: f"{one} and {two}")
    assert {*KEYS, "device", "threads"} <= equal.keys()
    assert (equal["equal"], other["equal"], other["note"]) == (True, False, "4 and 5")
    assert equal["ratio_to_baseline"] == equal["baseline_s"] / equal["ours_s"]
    assert equal["ratio_to_limit"] == equal["limit_s"] / equal["ours_s"]
    assert other["limit_s"] is None


def test_the_limit_is_what_takes_longer() -> None:
    assert LIMITS.seconds(flops=1e9, moved_bytes=5e8, precision="float32") == 1
    assert LIMITS.seconds(flops=1e9, moved_bytes=5e8, precision="bfloat16") == 0.5
    assert LIMITS.seconds(flops=0, moved_bytes=0, precision="float32") is None


def test_the_table_and_the_picture_show_a_result_that_is_not_equal(tmp_path: Path) -> None:
    rows = [row(), row(name="other sum", ours=lambda: 5, to_reach=2.0, flops=1e6)]
    shown = table(rows).splitlines()
    assert [line.split("|")[-2].strip() for line in shown[2:4]] == ["yes", "NO"]
    draw(rows, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 1000
