"""The other process: takes one request a line, runs it within its limits, and answers with values and arrays."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError

try:
    import resource
except ModuleNotFoundError:  # Windows has no such limits; see limits.Limits
    resource = None  # type: ignore[assignment]

MIB = 1 << 20
WIDEST_PIPE = MIB  # bytes; what Linux grants everybody, 16 times the default
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota, largest file
IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # meant for the parent, with whose end this process ends anyway

Reply = dict[str, Any]


def serve() -> None:
    """Answer requests until standard input closes, which it does when the parent ends in whatever way."""
    for name in IGNORED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    requests, replies = _take_over_pipes()
    limits = json.loads(requests.readline())
    _set_limits(limits["memory_mib"])
    inbox: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_watch, args=(requests, inbox), daemon=True).start()
    _send(replies, {"status": "ready"}, {})
    while True:
        request = inbox.get()
        _allow(limits["seconds"], request["scratch_mib"] if request["scratch"] else 0)
        tempfile.tempdir = request["scratch"]
        _send(replies, *_work(request))


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep both pipes for requests and replies alone: libraries may print."""
    pipes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import fcntl

        fcntl.fcntl(pipes[1], fcntl.F_SETPIPE_SZ, WIDEST_PIPE)
    return pipes[0], cast(BinaryIO, pipes[1])


def _watch(requests: BinaryIO, inbox: SimpleQueue[dict[str, Any]]) -> None:
    """Hand requests on; when there is nobody left to ask, end at once, whatever is under way."""
    scratch = None
    for line in requests:
        request = json.loads(line)
        scratch = request["scratch"]
        inbox.put(request)
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def _set_limits(memory_mib: int) -> None:
    with contextlib.suppress(OSError):  # where memory runs out, the kernel should take this process, not its parent
        Path("/proc/self/oom_score_adj").write_text("1000")
    if resource is not None:
        _lower(resource.RLIMIT_CORE, 0, for_good=True)  # a core dump holds the patient
        _lower(resource.RLIMIT_AS, memory_mib * MIB, for_good=True)


def _allow(seconds: float, scratch_mib: int) -> None:
    """Give a task its time of the processor, and the bytes of a file that it may write."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 2)
    _lower(resource.RLIMIT_FSIZE, scratch_mib * MIB)


def _lower(kind: int, limit: int, *, for_good: bool = False) -> None:
    """Set a limit, or the strictest that there is already; macOS does not have all of them."""
    hard = resource.getrlimit(kind)[1]
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (soft, soft if for_good else hard))


def _work(request: Mapping[str, Any]) -> tuple[Reply, Mapping[str, NDArray[Any]]]:
    try:
        function = _find(request["function"])
    except Exception as error:
        return {"status": "broken", "text": f"{request['function']}: {type(error).__name__}"}, {}
    try:
        result = function(**request["arguments"])
        fields = {str(index): part for index, part in enumerate(result)} if isinstance(result, tuple) else vars(result)
        values = {name: part for name, part in fields.items() if not isinstance(part, np.ndarray)}
        arrays = {name: np.require(fields[name], requirements="C") for name in fields if name not in values}
        return {"status": "done", "values": values}, arrays
    except BaseException as error:  # whatever a parser raises, with text that may quote what tags hold
        return _reason(error), {}


def _find(function: str) -> Callable[..., Any]:
    module, name = function.split(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), name))


def _reason(error: BaseException) -> Reply:
    if any(isinstance(link, MemoryError) for link in _chain(error)):  # often turned into "damaged" on its way up
        return {"status": "too_large"}
    if any(isinstance(link, OSError) and link.errno in FULL for link in _chain(error)):
        return {"status": "no_room"}
    if isinstance(error, RefusedError):
        return {"status": "refused", "text": str(error)}
    return {"status": "unreadable", "text": type(error).__name__}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _send(replies: BinaryIO, reply: Reply, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a line of JSON that says what follows, then the arrays, end to end."""
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    line = json.dumps({**reply, "arrays": shapes}, default=_plain) + "\n"
    for part in (np.frombuffer(line.encode(), np.uint8), *arrays.values()):
        rest = part.reshape(-1).view(np.uint8).data
        while rest:
            rest = rest[replies.write(rest) :]


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)
