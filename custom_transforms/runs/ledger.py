"""The ledger of a run over many studies: what became of each, in a file that survives any crash."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from custom_transforms.refusal import RefusedError

Row = dict[str, Any]
DONE = ("ok", "refused", "failed")  # what a study ends as; see `Entry` for what it is before
SALT_BYTES = 16
BEGAN = "NEURO_RUN_BEGAN"  # environment variable: when the run began that goes on in this process


class Entry(NamedTuple):
    """Where the newest row of a study stands, and what it says in short.

    Args:
        ledger: file.
        offset: of the row in it, in bytes.
        status: one of `DONE`; `started`, or `died` with its process; `removed`, where its name is another study's now.
        deaths: processes that died over the study since it was last done.
        date: of the row.
    """

    ledger: Path
    offset: int
    status: str
    deaths: int
    date: str


class Ledger:
    """One file of one JSON object a line, to which rows are only ever added; the newest row of a study counts.

    A last line without an end is what a crash left of a row, and is dropped on opening. The first line holds a salt,
    with which paths of studies become row ids that tell nothing of the path.

    Args:
        path: the file; made, with its folder, if there is none.
        salt: of a new file, 32 hexadecimal digits; by default drawn at random.

    Raises:
        RefusedError: the file is no ledger.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, salt: str | None = None) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("ab+", buffering=0)
        _drop_torn_line(self._stream.fileno())
        if not os.fstat(self._stream.fileno()).st_size:
            self.append({"ledger": 1, "salt": salt or secrets.token_hex(SALT_BYTES)})
        self.salt = read_salt(path)

    def append(self, row: Mapping[str, Any], *, durable: bool = True) -> None:
        """Add a row, whole or not at all.

        Args:
            row: plain values.
            durable: wait until it has reached the disk, so that it survives a crash of the machine as well.

        Raises:
            OSError: there is no room.
        """
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        file, before = self._stream.fileno(), self.size
        try:
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            os.ftruncate(file, before)
            raise
        if durable:
            os.fsync(file)

    @property
    def size(self) -> int:
        """Size of the file in bytes, which is the offset of the next row."""
        return os.fstat(self._stream.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def note_death(ledger: Ledger, row_id: str, deaths: int) -> None:
    """Write that a process died while it had a study."""
    ledger.append({"row": row_id, "status": "died", "deaths": deaths + 1, "date": now()})


def now() -> str:
    """Give the time as ISO 8601, in UTC, which sorts as text."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def read_salt(path: Path) -> str:
    """Read the salt of a ledger.

    Raises:
        RefusedError: the file is no ledger.
    """
    with path.open("rb") as stream:
        row = _parse(stream.readline(), path, 0)
    if not isinstance(row.get("salt"), str):
        raise RefusedError.of("damaged_ledger", path.name, expected="a ledger of this project", got="another file")
    return str(row["salt"])


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Give the rows of studies, oldest first, each with its offset in bytes; what a crash tore is left out.

    Raises:
        RefusedError: a row in the middle is damaged.
    """
    with path.open("rb") as stream:
        offset = len(stream.readline())
        for line in stream:
            if line.endswith(b"\n"):
                yield offset, _parse(line, path, offset)
            offset += len(line)


def read_row(entry: Entry) -> Row:
    """Read the row that an entry stands for.

    Raises:
        RefusedError: an output is not named as a file of the ledger's folder: outputs are removed when they are made
            anew, and a ledger that somebody changed must not reach elsewhere.
    """
    with entry.ledger.open("rb") as stream:
        stream.seek(entry.offset)
        row = _parse(stream.readline(), entry.ledger, entry.offset)
    if any(name in ("", "..") or Path(name).name != name for name in row.get("outputs", {})):
        raise RefusedError.of("damaged_ledger", entry.ledger.name, expected="outputs in its folder", got="elsewhere")
    return row


def newest_rows(folder: Path) -> dict[str, Entry]:
    """Find each study's newest row in all ledgers of a folder, those of shards included."""
    newest: dict[str, Entry] = {}
    for path in find_ledgers(folder):
        for offset, row in read_rows(path):
            entry = Entry(path, offset, row["status"], int(row.get("deaths", 0)), row["date"])
            known = newest.get(row["row"])
            if known is None or known.ledger == path or known.date <= entry.date:
                newest[row["row"]] = entry
    return newest


def find_ledgers(folder: Path) -> list[Path]:
    """List the ledgers of a folder, oldest names first."""
    return sorted(folder.glob("ledger*.jsonl"))


def _parse(line: bytes, path: Path, offset: int) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise RefusedError.of("damaged_ledger", path.name, expected=f"a row at byte {offset}", got="something else")
    return row


def _drop_torn_line(file: int) -> None:
    """Cut a file after its last end of line."""
    end = os.fstat(file).st_size
    while end:
        start = max(end - (1 << 16), 0)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < os.fstat(file).st_size:
        os.ftruncate(file, end)
