"""Run what parses and decodes untrusted files in another process, within limits of memory and time.

A damaged or hostile file can make a C library crash, loop, or take all memory; here the worst it does is to be refused.
"""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
import threading
from collections.abc import Mapping
from typing import Any, cast

from custom_transforms.refusal import RefusedError
from custom_transforms.runs.limits import LIMITS, Limits
from custom_transforms.runs.worker_process import DiedError, WorkerProcess

logger = logging.getLogger(__name__)

STUDIES_PER_WORKER = 200  # then a new one, which takes half a second, so that what libraries leak stays little


def run_isolated(
    function: str, arguments: Mapping[str, object], *, name: str, limits: Limits = LIMITS, scratch_mib: int = 0
) -> dict[str, Any]:
    """Call a function in the worker of this process, which starts on first use and then serves study after study.

    Each process has one worker, which threads take in turns; a forked process gets its own.

    Args:
        function: `module:function`, which returns a dataclass or a tuple.
        arguments: by name: numbers, texts, None, and lists and mappings of these; paths must be absolute.
        name: the study, as refusals name it.
        limits: of memory and time. Another limit than the last one's starts another worker.
        scratch_mib: size of the largest file that the function may write, which it does in a temporary folder of its
            own; 0 where it writes none.

    Returns:
        the fields of the result, of a tuple named by "0", "1" and so on; in them arrays are arrays, and tuples lists.

    Raises:
        RefusedError: the function refused; or `unreadable_file`, where it raised anything else; `too_large` for the
            memory; `no_room` in its temporary folder; `timed_out`; `killed_worker`, where two processes died of it.
        ChildProcessError: the worker does not start, or cannot import the function, whatever the study.

    Example:
        >>> run_isolated("custom_transforms.ct_study:read_ct", {"path": "/data/case_07"}, name="case_07")["hu"].shape
        (28, 512, 512)
    """
    request = {"function": function, "arguments": dict(arguments), "scratch": None, "scratch_mib": scratch_mib}
    with _desk.lock:
        if not scratch_mib:
            return _outcome(_ask(request, limits), name, limits)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            return _outcome(_ask({**request, "scratch": scratch}, limits), name, limits)


def worker_pid() -> int | None:
    """Number of this process's worker, None where there is none."""
    return _desk.worker.pid if _desk.worker else None


class _Desk:
    """Keeps the worker of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.worker: WorkerProcess | None = None

    def ready(self, limits: Limits) -> WorkerProcess:
        """Give the worker, a new one where there is none or it has served its time."""
        if self.worker and (
            self.worker.limits != limits or self.worker.answered > STUDIES_PER_WORKER or not self.worker.alive
        ):
            self.close()
        if self.worker is None:
            self.worker = WorkerProcess(limits)
        return self.worker

    def close(self) -> None:
        """Let the worker end."""
        worker, self.worker = self.worker, None
        if worker:
            worker.end()

    def after_fork(self) -> None:
        """Forget the parent's worker, and the lock that one of its threads may hold."""
        self.lock = threading.Lock()
        worker, self.worker = self.worker, None
        if worker:
            worker.let_go()


_desk = _Desk()
atexit.register(_desk.close)
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_desk.after_fork)


def _ask(request: Mapping[str, object], limits: Limits) -> dict[str, Any]:
    """Ask; if the worker dies, ask another, since the first may have died of something else than the study."""
    how = ""
    for _ in range(2):
        worker = _desk.ready(limits)
        try:
            reply = worker.ask(request, limits.seconds)
        except DiedError as death:
            _desk.worker = None
            if death.of_time:
                return {"status": "timed_out"}
            how = str(death)
            # of which study, the refusal says that follows: only there a name that gives somebody away is replaced
            logger.warning("the process that read a study died (%s)", how)
            continue
        except BaseException:  # Ctrl-C, say: half of an answer may be on its way
            _desk.worker = None
            worker.kill()
            raise
        if reply["status"] == "too_large":  # what it holds is in pieces
            _desk.close()
        return reply
    return {"status": "killed", "text": how}


def _outcome(reply: Mapping[str, Any], name: str, limits: Limits) -> dict[str, Any]:
    text = reply.get("text", "")
    if reply["status"] == "done":
        return cast(dict[str, Any], reply["values"])
    if reply["status"] == "refused":
        raise RefusedError(text)
    if reply["status"] == "broken":
        raise ChildProcessError(f"isolation: expected a function that can be imported, got {text}")
    code, expected, got = {
        "unreadable": ("unreadable_file", "files that can be read", text),
        "too_large": ("too_large", f"a study that is read within {limits.memory_mib} MiB of memory", "more"),
        "no_room": ("no_room", "room in the temporary folder for what is unpacked", "less"),
        "timed_out": ("timed_out", f"a study that is read within {limits.seconds:g} s", "more"),
        "killed": ("killed_worker", "a study that can be read", f"two processes that died of it ({text})"),
    }[reply["status"]]
    raise RefusedError.of(code, name, expected=expected, got=got)
