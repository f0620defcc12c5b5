"""What is written of a study that could not be worked on: a code and one line, without anything from its tags."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from custom_transforms.refusal import RefusedError, causes, refusal_in
from custom_transforms.run_guard import DISK_FULL

OF_ONE_STUDY = (errno.ENAMETOOLONG,)
NO_ROOM = "no_room"  # of `custom_transforms.runs.isolation` too
NO_READER = "no_reader"


@dataclass(frozen=True)
class Failure:
    """Why a study has no result.

    Args:
        status: `refused`, by a rule of this project, or `failed`, by anything else.
        code: that ledgers count by.
        message: `code: file: expected …, got …`.
    """

    status: str
    code: str
    message: str


def describe_failure(error: BaseException, stage: str) -> Failure:
    """Take the refusal that an error was caused by; of any other, its type and place.

    An error's own text may hold what was read from a file, or the file's name: it is not kept.

    Args:
        error: what was raised.
        stage: `preparing` or `inference`, for the code of an unforeseen error.
    """
    message = refusal_in(error)
    if message is not None:
        return Failure("refused", message.partition(":")[0], message)
    if any(DISK_FULL.search(str(link)) for link in causes(error)):
        expected = "room in the temporary folder for what is unpacked"
        return Failure("failed", NO_ROOM, str(RefusedError.of(NO_ROOM, ".", expected=expected, got="less")))
    if any(isinstance(link, ChildProcessError) for link in causes(error)):
        refusal = RefusedError.of(NO_READER, ".", expected="a process that reads studies", got="none that starts")
        return Failure("failed", NO_READER, str(refusal))
    root = list(causes(error))[-1]
    code = "out_of_memory" if isinstance(root, (MemoryError, torch.OutOfMemoryError)) else f"failed_{stage}"
    frames = traceback.extract_tb(root.__traceback__)
    place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    got = f"{type(root).__name__}{place}"
    return Failure("failed", code, str(RefusedError.of(code, ".", expected="a result", got=got)))


def kills_its_worker(deaths: int) -> Failure:
    """Say of a study that so many processes died over it."""
    code, got = "killed_worker", f"{deaths} processes that died over it"
    return Failure("failed", code, str(RefusedError.of(code, ".", expected="a result", got=got)))


def end_where_none_can_be_prepared(failure: Mapping[str, str]) -> None:
    """End a run where there was no room, or no process, to prepare a study: there will be none for the next one.

    Raises:
        RefusedError: `no_room` or `no_reader`.
    """
    if failure["code"] in (NO_ROOM, NO_READER):
        raise RefusedError(failure["message"]).renamed(".")  # a name of a file may give somebody away


def concerns_all_studies(error: BaseException) -> bool:
    """Tell whether an error after preparing would meet every study: no room, no rights, other weights or threshold."""
    return refusal_in(error) is not None or any(
        DISK_FULL.search(str(link)) or (isinstance(link, OSError) and link.errno not in (None, *OF_ONE_STUDY))
        for link in causes(error)
    )
