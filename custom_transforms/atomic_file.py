"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder, and move what was written there to `path` when all went well.

    Args:
        path: final name; its folder is made if need be. Endings are kept, as writers choose formats by them.

    Example:
        >>> with whole_file("build/table.csv") as file:
        ...     file.write_text("case,dice")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished_", dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
