"""Room on a disk and in memory: what there is, what a process takes, and the refusal where it is too little."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from custom_transforms.refusal import RefusedError

CGROUP = Path("/sys/fs/cgroup")
PROCESSES = Path("/proc")


def require_disk(folder: Path, needed_bytes: float) -> None:
    """Refuse a folder whose disk has less room than will be needed.

    Raises:
        RefusedError: see above.
    """
    free = free_disk_bytes(folder)
    if free < needed_bytes:
        expected = f"{readable_size(needed_bytes)} of free disk"
        raise RefusedError.of("too_little_disk", folder.name, expected=expected, got=readable_size(free))


def require_memory(needed_bytes: float, *, of: str) -> None:
    """Refuse work that will take more memory than there is; where that is not known, say nothing.

    Args:
        needed_bytes: over what is taken already.
        of: what the work is.

    Raises:
        RefusedError: see above.
    """
    available = available_memory_bytes()
    if available is not None and available < needed_bytes:
        expected = f"{readable_size(needed_bytes)} of free memory (fewer workers need less)"
        raise RefusedError.of("too_little_memory", of, expected=expected, got=readable_size(available))


def free_disk_bytes(folder: Path) -> int:
    """Tell the room on the disk of a folder that may not be there yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free


def available_memory_bytes() -> int | None:
    """Tell how much memory may still be taken: the machine's, or that of the container or job if it is less.

    Returns:
        None where the system does not tell.
    """
    available_kb = _number(PROCESSES / "meminfo", "MemAvailable:")
    found = [] if available_kb is None else [available_kb * 1024]
    groups = [line.split(":", 2) for line in _read(PROCESSES / "self" / "cgroup").splitlines()]
    for _, kinds, group in (parts for parts in groups if len(parts) == 3):
        if not kinds:  # version 2; a container sees its own group as the root
            found += _left(CGROUP, group, "memory.max", "memory.current")
        elif "memory" in kinds.split(","):
            found += _left(CGROUP / "memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes")
    return min(found, default=None)


def _left(root: Path, group: str, limit: str, usage: str) -> list[int]:
    """Tell what each group, from the process's own up to the root, leaves; cached files make room when asked."""
    own = root / group.lstrip("/")
    left = []
    for folder in (path for path in (own, *own.parents) if path.is_relative_to(root)):
        most, taken = _read(folder / limit).strip(), _read(folder / usage).strip()
        if most.isdecimal() and taken.isdecimal():
            cached = [_number(folder / "memory.stat", f"{kind}_file") for kind in ("inactive", "active")]
            left.append(int(most) - int(taken) + sum(size or 0 for size in cached))
    return left


class PeakMemory:
    """The most memory that this process, and its children if asked for, take from when this was made on.

    `resource.getrusage` knows only the maximum since a process began, which is that of the largest study so far. Peaks
    of several processes are added up, which is too much where they are not at the same time; a child that has ended
    since is not counted.

    Args:
        with_children: false where the children measure themselves: a process has only one peak to begin anew.

    Example:
        >>> peak = PeakMemory()
        >>> volume = read("study")
        >>> peak.grown_bytes()
    """

    def __init__(self, *, with_children: bool = True) -> None:
        self.with_children = with_children
        self.start_bytes: dict[str, int] = {}  # by process; one that comes later starts from nothing
        self.is_known = True
        for process in self._processes():
            try:
                (PROCESSES / process / "clear_refs").write_text("5")  # proc(5): the peak begins anew
            except OSError:
                self.is_known = self.is_known and process != "self"  # a child may just have ended
            self.start_bytes[process] = _memory_bytes(process, "VmRSS:") or 0

    def peak_bytes(self) -> int | None:
        """Tell the highest resident memory since then; None where the system does not let it be measured anew."""
        return sum(_memory_bytes(it, "VmHWM:") or 0 for it in self._processes()) if self.is_known else None

    def grown_bytes(self) -> int | None:
        """Tell by how much that is more than what they had taken already."""
        if not self.is_known:
            return None
        return sum((_memory_bytes(it, "VmHWM:") or 0) - self.start_bytes.get(it, 0) for it in self._processes())

    def _processes(self) -> tuple[str, ...]:
        return ("self", *_children()) if self.with_children else ("self",)


def _children() -> list[str]:
    """Number the children by the lists that Linux keeps; without these, ask every process for its parent."""
    lists = [*(PROCESSES / "self" / "task").glob("*/children")]  # of each thread those that it has started
    if lists:
        return [number for file in lists for number in _read(file).split()]
    others = PROCESSES.glob("[0-9]*/status")
    return [status.parent.name for status in others if _number(status, "PPid:") == os.getpid()]


def megabytes(size_bytes: int | None) -> float | None:
    """Round a size to tenths of a MB (10^6 bytes); what is not known stays None."""
    return None if size_bytes is None else round(size_bytes / UNITS["MB"], 1)


def readable_size(size_bytes: float) -> str:
    """Write a size as people read it."""
    unit = next((unit for unit in ("kB", "MB", "GB") if size_bytes < 1000 * UNITS[unit]), "TB")
    return f"{size_bytes / UNITS[unit]:.3g} {unit}"


UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def _memory_bytes(process: str, name: str) -> int | None:
    size_kb = _number(PROCESSES / process / "status", name)
    return None if size_kb is None else size_kb * 1024


def _number(file: Path, name: str) -> int | None:
    """Give the number in the line `name number`."""
    return next((int(line.split()[1]) for line in _read(file).splitlines() if line.split()[:1] == [name]), None)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
