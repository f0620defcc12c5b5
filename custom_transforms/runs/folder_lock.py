"""Two runs on one output folder exclude each other; shards of one run do not."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from custom_transforms.refusal import RefusedError

HELD = "NEURO_RUN_LOCKS"  # environment variable of a child that runs under the locks of its parent


@dataclass(frozen=True)
class Shard:
    """Share `index` of `count` of the studies, counted from 1; one of one is all of them.

    Example:
        >>> Shard.of("2/4").ledger
        'ledger_2of4.jsonl'
    """

    index: int = 1
    count: int = 1

    @classmethod
    def of(cls, text: str) -> Shard:
        """Read `i/n`; an empty text is all of them.

        Raises:
            RefusedError: it is written otherwise, or there is no such share.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text or "1/1")
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise RefusedError.of("wrong_shard", text, expected="i/n with 1 <= i <= n, as 2/4", got="something else")
        return cls(int(found[1]), int(found[2]))

    @property
    def ledger(self) -> str:
        """Name of the ledger's file."""
        return "ledger.jsonl" if self.count == 1 else f"ledger_{self.index}of{self.count}.jsonl"

    def holds(self, position: int) -> bool:
        """Tell whether the study at a position of the list is in this share."""
        return position % self.count == self.index - 1


@contextmanager
def lock_folder(folder: Path, shard: Shard) -> Iterator[None]:
    """Hold the folder for one run, or for one shard beside other shards of the same number.

    The locks die with the process, and what it forks does not keep them. A child that works for a process with the
    locks, and dies with it, is told so in its environment, see `HELD`, and takes none.

    Args:
        folder: output folder; made if need be.
        shard: share of this run.

    Raises:
        RefusedError: another run holds the folder.
    """
    if os.environ.get(HELD) == held_by(folder, shard):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    files = [os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666) for name in _names(shard)]
    os.register_at_fork(after_in_child=lambda: _close(files))
    try:
        with hold_briefly(folder):
            _take(files, folder, shard)
        yield
    finally:
        _close(files)


@contextmanager
def hold_briefly(folder: Path) -> Iterator[None]:
    """Wait for, and hold, what shards do one after the other: to start, and to sum up."""
    file = os.open(folder / ".lock_turn", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def held_by(folder: Path, shard: Shard) -> str:
    """Say in an environment variable what is held."""
    return f"{shard.index}/{shard.count} {folder.resolve()}"


def _names(shard: Shard) -> tuple[str, ...]:
    return (".lock",) if shard.count == 1 else (".lock", f".lock_{shard.index}of{shard.count}")


def _take(files: list[int], folder: Path, shard: Shard) -> None:
    """Take the folder alone; or the folder together with shards of the same number, and the shard alone."""
    count = str(shard.count).encode()
    if _try(files[0], fcntl.LOCK_EX):
        os.ftruncate(files[0], 0)
        os.pwrite(files[0], count, 0)
        if shard.count > 1:
            fcntl.flock(files[0], fcntl.LOCK_SH)
    elif shard.count == 1 or not _try(files[0], fcntl.LOCK_SH) or os.pread(files[0], 9, 0) != count:
        _refuse(folder)
    if shard.count > 1 and not _try(files[1], fcntl.LOCK_EX):
        _refuse(folder)


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse(folder: Path) -> None:
    expected = "no other run in this output folder, except other shards of the same number"
    raise RefusedError.of("folder_in_use", folder.name, expected=expected, got="one that is going on")


def _close(files: list[int]) -> None:
    while files:
        os.close(files.pop())
