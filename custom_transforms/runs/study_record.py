"""By what a study is known in a ledger: an id that tells nothing, what the list says of it, its files."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from custom_transforms.file_hash import file_sha256
from custom_transforms.files_of_study import study_files
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.ledger import Row, find_ledgers, read_salt

ID_DIGITS = 16
PLACES = ("image", "label")  # what an item says of where its files lie; a label is not read here
Files = str | Path | Sequence[str | Path]


def row_id(salt: str, image: Files, base_dir: str | Path) -> str:
    """Make a study's id from its path relative to the input, with the ledger's salt: without it nothing can be guessed.

    Returns:
        16 hexadecimal digits, the same in every run on the folder, also where the input has moved as a whole.
    """
    paths = [image] if isinstance(image, (str, Path)) else image
    relative = [Path(os.path.relpath(path, base_dir)).as_posix() for path in paths]
    return _keyed(salt, relative)[:ID_DIGITS]


def find_row(folder: Path, wanted: str, images: Iterable[Files], base_dir: str | Path) -> list[Files]:
    """Find the study that a row is of.

    Args:
        folder: output folder with a ledger.
        wanted: id of the row.
        images: those of all studies.
        base_dir: folder that they lie in.

    Returns:
        the one image, or none.

    Raises:
        RefusedError: the folder has no ledger.
    """
    salts = [read_salt(path) for path in find_ledgers(folder)]
    if not salts:
        raise RefusedError.of("missing_ledger", folder.name, expected="the folder of a run", got="no ledger in it")
    return [image for image in images if row_id(salts[0], image, base_dir) == wanted]


def item_state(salt: str, item: Mapping[str, Any]) -> str:
    """Tell in one word what a list says of a study besides where its files lie: case, series, order of modalities.

    A result depends on it as on the files. Whatever else stands there counts too, as a step may come to use it.
    """
    return _keyed(salt, {name: said for name, said in item.items() if name not in PLACES})


def input_state(salt: str, image: Files) -> str:
    """Tell names, sizes and times of change of a study's files in one word: equal means that nothing has changed."""
    files = study_files(image)
    return _keyed(salt, [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files])


def input_sha256(image: Files) -> str:
    """Hash the contents of a study's files, in order of their names.

    Raises:
        OSError: one cannot be read.
    """
    return hashlib.sha256("".join(file_sha256(file) for file in study_files(image)).encode()).hexdigest()


def still_holds(row: Row, item: Mapping[str, Any], *, folder: Path, salt: str) -> bool:
    """Tell whether a row is of this item with these files, and its outputs are whole; not where any cannot be read.

    Args:
        row: of a study that is done.
        item: of the list, as it is now.
        folder: of the outputs.
        salt: of the ledger.
    """
    image = item["image"]
    try:
        return (
            row["item"] == item_state(salt, item)
            and (row["state"] == input_state(salt, image) or row["sha256"] == input_sha256(image))
            and outputs_are_whole(folder, row["outputs"])
        )
    except (OSError, ValueError):  # the latter of an impossible path
        return False


def outputs_are_whole(folder: Path, outputs: Mapping[str, str]) -> bool:
    """Tell whether all files that a row names are there with the content that it names."""
    return all((folder / name).is_file() and file_sha256(folder / name) == sha for name, sha in outputs.items())


def _keyed(salt: str, content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hmac.new(bytes.fromhex(salt), text.encode(), hashlib.sha256).hexdigest()
