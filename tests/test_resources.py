from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from custom_transforms import resources
from custom_transforms.refusal import RefusedError
from custom_transforms.resources import PeakMemory, available_memory_bytes, readable_size, require_disk, require_memory


def machine(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(resources, "PROCESSES", folder / "proc")
    monkeypatch.setattr(resources, "CGROUP", folder / "cgroup")


MEMINFO = "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n"


@pytest.mark.parametrize(
    ("files", "expected_bytes"),
    [
        ({}, None),
        ({"proc/meminfo": MEMINFO}, 4_096_000),
        ({"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n", "cgroup/memory.max": "max\n"}, 4_096_000),
        (
            {"proc/self/cgroup": "0::/job/step\n", "cgroup/job/memory.max": "3000", "cgroup/job/memory.current": "2500",
             "cgroup/job/memory.stat": "anon 9\ninactive_file 200\nactive_file 100\n"},
            800,
        ),
        (
            {"proc/meminfo": MEMINFO, "proc/self/cgroup": "4:cpu:/x\n5:memory:/job\n",
             "cgroup/memory/job/memory.limit_in_bytes": "1000", "cgroup/memory/job/memory.usage_in_bytes": "900"},
            100,
        ),
    ],
)  # fmt: skip
def test_least_of_machine_and_job_is_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected_bytes: int | None
) -> None:
    machine(tmp_path, monkeypatch, files)
    assert available_memory_bytes() == expected_bytes


def test_too_little_is_refused_and_the_unknown_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_disk(tmp_path / "not" / "yet", 1)
    with pytest.raises(RefusedError, match=r"too_little_disk: yet: expected 1e\+06 TB of free disk, got "):
        require_disk(tmp_path / "not" / "yet", 1e18)
    machine(tmp_path, monkeypatch, {"proc/meminfo": MEMINFO})
    with pytest.raises(RefusedError, match="too_little_memory: 2 workers: expected 5 MB of free memory .*, got 4.1 MB"):
        require_memory(5e6, of="2 workers")
    machine(tmp_path / "silent", monkeypatch, {})
    require_memory(1e18, of="2 workers")


def test_peak_is_measured_though_the_memory_is_given_back() -> None:
    bytes(bytearray(b"x") * 400_000_000)
    peak = PeakMemory()
    bytes(bytearray(b"x") * 200_000_000)  # more than a process that ran other tests has left over to use again
    grown = peak.grown_bytes()
    if not Path("/proc/self/status").is_file() or os.name != "posix":
        assert grown is None
    else:
        assert grown is not None
        assert 150e6 < grown < 500e6


def test_what_a_child_took_before_does_not_count_and_what_it_takes_then_does() -> None:
    work = "bytes(bytearray(b'x') * {}); print(flush=True); input()"
    before, then = (f"{work.format(10**8 * count)}" for count in (4, 1))
    command = [sys.executable, "-c", f"{before}; {then}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        peak, alone = PeakMemory(), PeakMemory(with_children=False)
        grown, grown_alone = [peak.grown_bytes() or 0], []
        for _ in range(2):
            print(file=child.stdin, flush=True)
            child.stdout.readline()
            grown.append(peak.grown_bytes() or 0)
            grown_alone.append(alone.grown_bytes() or 0)
    assert grown[0] < 50e6
    assert 150e6 < grown[1] < 500e6
    assert max(grown_alone) < 50e6


def test_peak_is_unknown_where_it_cannot_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(tmp_path, monkeypatch, {"proc/self/status": "VmHWM: 100 kB\nVmRSS: 90 kB\n", "proc/meminfo": ""})
    (tmp_path / "proc/self/clear_refs").mkdir()
    peak = PeakMemory()
    assert (peak.peak_bytes(), peak.grown_bytes()) == (None, None)


def test_sizes_are_written_for_people() -> None:
    assert [readable_size(size) for size in (0, 999, 12_345, 7.6e8, 1.23e12)] == [
        "0 kB", "0.999 kB", "12.3 kB", "760 MB", "1.23 TB"]  # fmt: skip


@pytest.mark.parametrize("listed", [True, False], ids=["as Linux lists them", "by asking every process"])
def test_children_count_with_their_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: bool) -> None:
    memory, mine = "VmHWM: {0} kB\nVmRSS: {0} kB\n", f"PPid: {os.getpid()}\n"
    files = {"proc/self/status": memory.format(100), "proc/7/status": mine + memory.format(20)}
    files |= {"proc/8/status": mine + memory.format(3), "proc/9/status": "PPid: 1\n" + memory.format(5000)}
    lists = {"proc/self/task/50/children": "7 ", "proc/self/task/51/children": "8 "} if listed else {}
    machine(tmp_path, monkeypatch, files | lists)
    assert PeakMemory().peak_bytes() == 123 * 1024
    assert PeakMemory(with_children=False).peak_bytes() == 100 * 1024
