"""Write a file whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

UNFINISHED = re.compile(r"\.unfinished_(?P<place>[^_]+)_(?P<process>\d+)_")
FORGOTTEN_S = 24 * 3600  # nothing here takes a day to write; by then a leftover of another machine has no owner

_watched: list[list[Path]] = []


@contextmanager
def whole_file(path: str | Path, *, keep_as: str | None = None) -> Iterator[Path]:
    """Give a temporary path in the same folder, and move what was written there to `path` when all went well.

    The content is on the disk before the name changes, and the change is on the disk before this returns: killed, or
    without power, at any moment, `path` is what it was or what it is to be.

    Args:
        path: final name; its folder is made if need be. Endings are kept, as writers choose formats by them.
        keep_as: name beside it under which a file that is replaced is kept; the default, None, lets it go.

    Example:
        >>> with whole_file("build/table.csv") as file:
        ...     file.write_text("case,dice")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent / unfinished_name()
    folder.mkdir()
    try:
        unfinished = folder / path.name
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        if keep_as is not None and path.is_file():
            _second_name(path, folder / "kept").replace(path.with_name(keep_as))
        for written in _watched:  # before, not after: a signal's handler may raise between any two lines
            written.append(path)
        unfinished.replace(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def watch_files() -> Iterator[list[Path]]:
    """Give a list that gets the path of each file that this process writes whole in the block, in that order.

    Of a file whose writing failed at the very end the path may be in it as well.
    """
    written: list[Path] = []
    _watched.append(written)
    try:
        yield written
    finally:
        _watched.pop()


def unfinished_name() -> str:
    """Name a temporary file or folder so that a later start can tell whose it is: machine, its container, process."""
    return f".unfinished_{_place()}_{os.getpid()}_{uuid4().hex}"


def remove_leftovers(folder: str | Path) -> list[str]:
    """Remove from a folder what processes that were killed have left unfinished; give the names.

    What a living process of this machine is writing stays, and what another machine wrote within a day, which may be
    at work on a shared disk.
    """
    removed = []
    for path in Path(folder).glob(".unfinished_*"):
        with suppress(FileNotFoundError):  # another process removes it too
            if _is_left(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed.append(path.name)
    return removed


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where its file system can tell."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _second_name(path: Path, name: Path) -> Path:
    """Give a file a second name, so that it does not lose the first meanwhile; or a copy, without hard links."""
    try:
        name.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, name)
    return name


def _is_left(path: Path) -> bool:
    owner = UNFINISHED.match(path.name)
    if owner and owner["place"] == _place():
        return not _lives(int(owner["process"]))
    return time.time() - path.stat().st_mtime > FORGOTTEN_S


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@lru_cache(maxsize=1)
def _place() -> str:
    """Name the machine, and among its containers the space in which a process number means this process."""
    try:
        space = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        space = "0"
    return f"{re.sub('[^A-Za-z0-9.-]', '-', socket.gethostname())}-{space}"
