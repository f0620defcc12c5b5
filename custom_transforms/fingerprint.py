"""Name the work that made a cached file, so that a cache never outlives a changed setting or scan."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path
from threading import local

import numpy as np
import torch

from custom_transforms.files_of_study import study_files
from custom_transforms.runs.limits import Limits

DEEPEST = 20  # a Compose of MONAI transforms reaches 12; more is a cycle
# Neither the random state is a setting, nor where results go, nor where files lie whose contents are hashed
NO_SETTINGS = ("R", "output_dir", "weights", "operating_point", "exported")


def fingerprint(*things: object) -> str:
    """Hash values, containers of them, and transforms with all their settings, to 32 hexadecimal digits."""
    text = json.dumps([_describe(thing, 0) for thing in things], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_states(paths: str | Sequence[str]) -> list[list[str | int]]:
    """Give name, size and time of change of files named singly, in a list, by a pattern with `*`, or by folder."""
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in study_files(paths)]


def real_paths(paths: str | Sequence[str]) -> str | list[str]:
    """Name files by one path each, whatever folder a run starts in and whatever links lead to them."""
    return os.path.realpath(paths) if isinstance(paths, str) else [os.path.realpath(path) for path in paths]


@lru_cache
def code_sha256() -> str:
    """Hash the code of this package, since a changed rule changes what is prepared as a changed setting does."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _describe(thing: object, depth: int) -> object:
    if depth > DEEPEST:
        raise ValueError(f"fingerprint: expected settings at most {DEEPEST} deep, got {type(thing).__name__} below")
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, (np.ndarray, np.generic, torch.Tensor)):
        return np.asarray(thing).tolist()
    if isinstance(thing, (Path, Enum, torch.dtype, torch.device, np.dtype)):
        return str(thing)
    if isinstance(thing, Mapping):
        return {str(key): _describe(thing[key], depth + 1) for key in thing}
    if isinstance(thing, (set, frozenset)):
        return sorted(str(part) for part in thing)
    if isinstance(thing, Sequence):
        return [_describe(part, depth + 1) for part in thing]
    return _describe_object(thing, depth)


def _describe_object(thing: object, depth: int) -> object:
    if hasattr(thing, "__qualname__") and "<" not in thing.__qualname__ and not hasattr(thing, "__self__"):
        return f"{thing.__module__}.{thing.__qualname__}"  # a function or a class
    if isinstance(thing, partial):
        return [_describe(part, depth + 1) for part in (thing.func, thing.args, thing.keywords)]
    if not hasattr(thing, "__dict__") or (callable(thing) and hasattr(thing, "__code__")):
        raise ValueError(f"fingerprint: expected settings that can be told apart, got {thing!r}")
    # what MONAI keeps for a thread from a transform's first use on is no setting either, nor are limits of memory and
    # time, which decide whether a scan is read and never what is read
    passed_over = (local, Limits)
    settings = {
        name: part
        for name, part in vars(thing).items()
        if name not in NO_SETTINGS and not isinstance(part, passed_over)
    }
    return [type(thing).__module__, type(thing).__qualname__, _describe(settings, depth + 1)]
