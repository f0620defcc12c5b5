"""A process that reads studies, as its parent sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, BinaryIO, cast

import numpy as np

from custom_transforms.runs.limits import Limits

START_SECONDS = 120  # a cold disk, and a machine that is busy
END_SECONDS = 2  # for a process with nothing to do; then it is killed
LONGEST_LINE = 1 << 24  # bytes
BUFFER = 1 << 16  # bytes; longer stretches are read past it, straight into their array
STARTER = "import sys; sys.path[:] = sys.argv[1:]; from custom_transforms.runs.serve_requests import serve; serve()"
# Every thread of a library sets memory aside, of which there is a limit; and studies are read side by side
SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class DiedError(Exception):
    """A process that was asked is gone.

    Args:
        how: name of the signal, or exit status.
        of_time: it was ended because its time was over.
    """

    def __init__(self, how: str, *, of_time: bool) -> None:
        super().__init__(how)
        self.of_time = of_time


class WorkerProcess:
    """A process that runs `serve_requests.serve`.

    It ends when this one does, in whatever way, because its standard input then closes. Its standard error goes
    nowhere, since libraries print there what files hold. It sees the modules that this process sees, in the folder of
    this package and in absolute entries of `sys.path`, but never those of the current folder, which may be a study's.

    Args:
        limits: of memory, and of time for each request.

    Raises:
        ChildProcessError: it does not start, whatever the study.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.answered = 0
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", STARTER, *_import_path()],
            bufsize=BUFFER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **SINGLE_THREAD},
        )
        self._to, self._back = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        try:
            self.ask(asdict(limits), START_SECONDS)
        except DiedError as death:
            expected = f"a reading process that starts within {START_SECONDS} s and {limits.memory_mib} MiB"
            raise ChildProcessError(f"isolation: expected {expected}, got its end ({death})") from None
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, object], seconds: float) -> dict[str, Any]:
        """Send a request, and wait for the answer.

        Returns:
            the answer; `values` holds arrays as arrays.

        Raises:
            DiedError: nothing whole came back; the process has ended.
        """
        with self._deadline(seconds) as over:
            try:
                self._to.write(json.dumps(request).encode() + b"\n")
                self._to.flush()
                reply = _receive(self._back, self.limits.memory_mib << 20)
            except (OSError, EOFError, ValueError, TypeError, KeyError):
                status = self.end()
                how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
                raise DiedError(how, of_time=over.is_set() or how == "SIGXCPU") from None
        self.answered += 1
        return reply

    def end(self) -> int:
        """Let the process end, help it if need be, and return its exit status: minus a signal's number, if killed."""
        with contextlib.suppress(OSError):
            self._to.close()
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            status = self.kill()
        self._back.close()
        return status

    def kill(self) -> int:
        """End the process at once, whatever it is doing."""
        self._process.kill()
        return self._process.wait()

    def let_go(self) -> None:
        """Close this process's copies of the pipes after a fork: the worker is its parent's, and ends with that."""
        for stream in (self._to, self._back):
            stream.raw.close()  # type: ignore[attr-defined]  # the file alone; its buffer is the parent's to send
        self._process.returncode = 0  # not waited for here

    @contextlib.contextmanager
    def _deadline(self, seconds: float) -> Iterator[threading.Event]:
        """Kill the process when its time is over; the event then tells so."""
        over = threading.Event()

        def end() -> None:
            over.set()
            self._process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield over
        finally:
            timer.cancel()


def _import_path() -> list[str]:
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    current = os.path.abspath(os.curdir)  # noqa: PTH100 (pathlib resolves links, and sys.path has them)
    entries = [entry for entry in sys.path if os.path.isabs(entry) and entry not in (current, home)]  # noqa: PTH117
    return [home, *entries]


def _receive(stream: BinaryIO, most_bytes: int) -> dict[str, Any]:
    """Read a line of JSON and the arrays that it announces; plain numbers only, and no more than fit the limit."""
    line = stream.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise EOFError
    reply: dict[str, Any] = json.loads(line)
    for name, (kind, shape) in reply.pop("arrays").items():
        dtype = np.dtype(kind)
        if dtype.kind not in "biuf" or np.prod(shape, dtype=float) * dtype.itemsize > most_bytes:
            raise ValueError(name)
        array = np.empty(shape, dtype)
        if stream.readinto(array.reshape(-1).view(np.uint8)) != array.nbytes:  # type: ignore[attr-defined]
            raise EOFError
        reply["values"][name] = array
    return reply
