"""Functions that do to their process what damaged files do through the libraries that read them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from custom_transforms.refusal import RefusedError


def arrays(shape: list[int]) -> SimpleNamespace:
    big = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    turned, empty, single = big.T.astype(np.uint8), np.zeros((0, 3), np.int16), np.array(2.5)
    return SimpleNamespace(big=big, turned=turned, empty=empty, single=single, notes=("a", "é"), nothing=None)


def report() -> SimpleNamespace:
    torch_free = not {"torch", "monai", "ignite"} & set(sys.modules)
    return SimpleNamespace(pid=os.getpid(), torch_free=torch_free, threads=os.environ["OMP_NUM_THREADS"])


def refuse(line: str) -> None:
    raise RefusedError(line)


def raise_with_a_name() -> None:
    raise KeyError("Doe^Jane")


def panic() -> None:
    """Raise what is no Exception, as decoders written in Rust do."""
    raise type("PanicException", (BaseException,), {})("Doe^Jane")


def take_memory(mib: int) -> SimpleNamespace:
    return SimpleNamespace(whole=np.ones(mib << 20, np.uint8).all())


def take_memory_quietly() -> None:
    try:
        take_memory(1 << 20)
    except Exception:
        raise RefusedError.of("damaged_pixels", "a.dcm", expected="whole pixels", got="damage") from None


def loop() -> None:
    while True:
        pass


def hold_the_interpreter() -> None:
    """Sleep in C without letting another thread of Python run, as a decoder may."""
    ctypes.PyDLL(None).sleep(600)


def abort() -> None:
    os.abort()


def abort_the_first_time(mark: str) -> SimpleNamespace:
    if not Path(mark).exists():
        Path(mark).mkdir()
        os.abort()
    return SimpleNamespace(done=True)


def print_things() -> SimpleNamespace:
    print("Doe^Jane", flush=True)
    os.write(1, b"Doe^Jane\n")
    os.write(2, b"Doe^Jane\n")
    return SimpleNamespace(answer=sys.stdin.read(1))


def write_file(mib: int) -> SimpleNamespace:
    file = Path(tempfile.gettempdir()) / "unpacked"
    file.write_bytes(bytes(mib << 20))
    return SimpleNamespace(file=str(file))


def interrupt_self() -> SimpleNamespace:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    return SimpleNamespace(alive=True)


def sleep_long(mark: str) -> None:
    Path(mark, str(os.getpid())).mkdir()
    time.sleep(600)


def start_thread_and_die() -> None:
    threading.Thread(target=time.sleep, args=(600,)).start()
    os._exit(3)
