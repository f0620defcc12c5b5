from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from custom_transforms.atomic_file import FORGOTTEN_S, remove_leftovers, unfinished_name, whole_file


def write(path: Path, text: str, **options: str) -> None:
    with whole_file(path, **options) as file:
        file.write_text(text)


def test_failed_writing_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "first")
    with suppress(RuntimeError), whole_file(tmp_path / "a.txt") as file:
        file.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "first"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("links", [True, False])
def test_replaced_file_is_kept_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:  # as on FAT

        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    for text in ("first", "second", "third"):
        write(tmp_path / "a.txt", text, keep_as="before.txt")
    assert (tmp_path / "a.txt").read_text() == "third"
    assert (tmp_path / "before.txt").read_text() == "second"
    assert len(list(tmp_path.iterdir())) == 2


def test_leftovers_of_killed_processes_go_and_others_stay(tmp_path: Path) -> None:
    name = "from custom_transforms.atomic_file import unfinished_name; print(unfinished_name())"
    dead = subprocess.run([sys.executable, "-c", name], capture_output=True, text=True, check=True).stdout.strip()
    mine, elsewhere = unfinished_name(), re.sub("_[^_]+_", "_otherhost-1_", unfinished_name(), count=1)
    for folder in (dead, mine, elsewhere, "_old"):
        (tmp_path / f".unfinished{folder.removeprefix('.unfinished')}").mkdir()
    old = time.time() - FORGOTTEN_S - 60
    os.utime(tmp_path / ".unfinished_old", (old, old))
    assert sorted(remove_leftovers(tmp_path)) == sorted([dead, ".unfinished_old"])
    assert {file.name for file in tmp_path.iterdir()} == {mine, elsewhere}
    assert remove_leftovers(tmp_path / "absent") == []
