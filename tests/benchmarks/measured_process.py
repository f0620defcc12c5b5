"""Run a command in a process of its own, and weigh it from outside."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

LOOKS_A_SECOND = 4  # at all processes together: at 1.5 GB a look takes some milliseconds
END_OF_LOG = 2000  # characters


@dataclass(frozen=True)
class Peaks:
    """The most memory that a command took, in MB (10^6 bytes).

    Args:
        largest_mb: the most that its largest process ever had resident, of which Linux keeps account (`VmHWM`); what
            `wait4` tells begins with the size of the process that started it.
        together_mb: of all of its processes at one time, what they share counted once (the sum of their PSS, looked at
            some times a second, so that a shorter peak is missed); 0 where the system does not tell.
    """

    largest_mb: float
    together_mb: float

    def __str__(self) -> str:
        """Say both."""
        return f"{self.largest_mb:.0f} MB in its largest process, {self.together_mb:.0f} MB in all together"


def run_measured(command: Sequence[object], *, cwd: Path) -> Peaks:
    """Run a command to its end.

    Raises:
        RuntimeError: its exit status is not 0.
    """
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([*map(str, command)], cwd=cwd, stdout=log, stderr=log)
        over, largest_kb, together_kb = Event(), [0], [0]
        watcher = Thread(target=_watch, args=(process.pid, over, largest_kb, together_kb))
        watcher.start()
        process.wait()
        over.set()
        watcher.join()
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{command}: exit status {process.returncode}\n{log.read()[-END_OF_LOG:]}")
    return Peaks(largest_kb[0] * 1024 / 1e6, together_kb[0] * 1024 / 1e6)


def _watch(process: int, over: Event, largest_kb: list[int], together_kb: list[int]) -> None:
    while not over.wait(1 / LOOKS_A_SECOND):
        tree = _tree(process)
        largest_kb[0] = max(largest_kb[0], *(_kilobytes(one, "status", "VmHWM:") for one in tree))
        together_kb[0] = max(together_kb[0], sum(_kilobytes(one, "smaps_rollup", "Pss:") for one in tree))


def _tree(root: int) -> list[int]:
    """List a process, its children and theirs."""
    found = [root]
    for process in found:  # grows meanwhile
        for file in Path(f"/proc/{process}/task").glob("*/children"):
            found += map(int, _text(file).split())
    return found


def _kilobytes(process: int, table: str, name: str) -> int:
    lines = _text(Path(f"/proc/{process}/{table}")).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it has just ended
        return ""
