"""Which files a study consists of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def study_files(image: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the files that are there, sorted within a folder or pattern.

    Args:
        image: a file, a folder, a pattern with `*` in its last part, or a list of them.
    """
    files: list[Path] = []
    for path in [Path(image)] if isinstance(image, (str, Path)) else map(Path, image):
        if path.is_dir():
            files += sorted(path.rglob("*"))
        else:
            files += sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
    return [file for file in files if file.is_file()]
