"""The page on the library: its code runs, what it lists is there, and each says what its settings mean."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "library.md").read_text()
NAME = re.compile("`([A-Za-z_0-9.]+)`")


def listed() -> Iterator[tuple[str, str]]:
    """Module and name of what the tables list; a line has one module for all its names, or one for each."""
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            names, modules = (NAME.findall(cell) for cell in line.split("|")[1:3])
            yield from zip(modules * len(names) if len(modules) == 1 else modules, names, strict=True)


def documented(thing: Any) -> str:
    """Docstrings of a function, or of a class and of what calls it; `see X` brings those of X in the same module."""
    calls = [getattr(thing, name) for name in ("__call__", "forward", "update") if name in vars(thing)]
    text = "\n".join(inspect.getdoc(part) or "" for part in (thing, *calls))
    module = vars(import_module(thing.__module__))
    others = [module[name] for name in re.findall(r"see `([A-Z]\w+)`", text) if name in module]
    return "\n".join([text, *(inspect.getdoc(other) or "" for other in others)])


def test_code_on_the_page_runs() -> None:
    room: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "docs/library.md", "exec"), room)


@pytest.mark.parametrize(("module", "name"), listed())
def test_what_is_listed_is_there_and_says_what_its_settings_are(module: str, name: str) -> None:
    thing = getattr(import_module(f"custom_transforms.{module}"), name)
    settings = [setting for setting in inspect.signature(thing).parameters if setting not in ("args", "kwargs")]
    told = documented(thing)
    assert [setting for setting in settings if not re.search(rf"\b{setting}\b", told)] == []
    assert "raise " not in inspect.getsource(thing) or "Raises" in told


def test_nothing_of_a_kind_is_left_out() -> None:
    """Every transform, inferer, handler and loss of the package is on the page."""
    transform = r"^class (\w+)\(.*\b(?:MapTransform|Transform|Inferer|LoadImaged|SaveImaged)\)"
    kinds = re.compile(rf"{transform}|^class (\w+(?:Handler|Loss))\b", re.MULTILINE)
    code = [file.read_text() for file in (ROOT / "custom_transforms").glob("*.py")]
    found = {name for text in code for names in kinds.findall(text) for name in names if name}
    assert sorted(found - {name for _, name in listed()}) == []
    assert len(found) > 30
