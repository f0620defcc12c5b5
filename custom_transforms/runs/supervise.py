"""Run a bundle's inference in a child process, and go on where the child dies."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from custom_transforms.runs.folder_lock import HELD, Shard, held_by, lock_folder
from custom_transforms.runs.ledger import BEGAN, Ledger, newest_rows, note_death, now
from custom_transforms.runs.summary import SUMMARY

DONE, SOME_REFUSED, COULD_NOT_RUN, INTERRUPTED = 0, 2, 3, 75  # exit statuses
STOPS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
SET_PARENT_DEATH_SIGNAL = 1  # Linux, prctl(2), PR_SET_PDEATHSIG
DEATHS_WITHOUT_WORK = 2
_libc = ctypes.CDLL(None)


class Supervisor:
    """Start a command again and again until it ends by itself.

    A study that the command had begun when it was killed by a signal is noted in the ledger as one over which a
    process died; the command itself gives up such a study the second time. The command dies with this process, and
    that is held against no study.

    Args:
        command: a run of a bundle's inference.
        output_dir: its output folder, which is locked meanwhile.
        shard: its share.
        files: open files that the command inherits.
    """

    def __init__(self, command: Sequence[str], output_dir: Path, shard: Shard, *, files: Sequence[int] = ()) -> None:
        self.command = command
        self.output_dir = output_dir
        self.shard = shard
        self.files = files
        self._signal: int | None = None  # the one that asked this process to stop
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Do all studies and give the exit status, one of those above.

        Raises:
            RefusedError: another run holds the output folder.
        """
        idle = 0
        with lock_folder(self.output_dir, self.shard):
            handlers = {number: signal.signal(number, self._stop) for number in STOPS}
            environment = {**os.environ, HELD: held_by(self.output_dir, self.shard), BEGAN: now()}
            try:
                while (status := self._run_once(environment)) < 0 and self._signal is None:
                    idle = 0 if self._note_deaths() else idle + 1
                    if idle == DEATHS_WITHOUT_WORK:
                        return COULD_NOT_RUN
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        if self._signal is not None:
            return INTERRUPTED
        return self._tell() if status in (DONE, SOME_REFUSED) else status if status == INTERRUPTED else COULD_NOT_RUN

    def _run_once(self, environment: dict[str, str]) -> int:
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != parent:  # it was too late
                os._exit(INTERRUPTED)

        with subprocess.Popen(
            self.command, env=environment, pass_fds=self.files, preexec_fn=die_with_parent
        ) as self._child:
            if self._signal is not None:  # it came before there was a child to pass it on to
                self._child.send_signal(self._signal)
            return self._child.wait()

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._signal = number
        if self._child is not None:
            self._child.send_signal(number)

    def _note_deaths(self) -> bool:
        """Blame the studies that were begun and are not done; False if there are none."""
        path = self.output_dir / self.shard.ledger
        if not path.exists():
            return False
        ledger, newest = Ledger(path), newest_rows(self.output_dir)
        begun = {row: entry for row, entry in newest.items() if entry.status == "started" and entry.ledger == path}
        for row, entry in begun.items():
            note_death(ledger, row, entry.deaths)
        ledger.close()
        return bool(begun)

    def _tell(self) -> int:
        summary = json.loads((self.output_dir / SUMMARY).read_text())
        return SOME_REFUSED if summary["refused"] or summary["failed"] else DONE


def inference_command(
    bundle: Path, overlays: Sequence[str], options: Mapping[str, object], further: Sequence[str]
) -> list[str]:
    """Write the command that runs a bundle's inference.

    Args:
        bundle: its folder.
        overlays: names of the bundle's configs that follow `inference`, or files (.json).
        options: ids of the config with their values; without a value, the config's own holds.
        further: words that follow.
    """
    names = ("inference", *overlays)
    configs = [name if name.endswith(".json") else str(bundle / "configs" / f"{name}.json") for name in names]
    named = {"bundle_root": bundle, "config_file": configs, **options}
    words = [word for name, value in named.items() if value for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "monai.bundle", "run", "inference", *words, *further]


def bundle_modality(bundle: Path) -> str:
    """Tell of which modality the images are that a bundle takes, `CT` or `MR`.

    Raises:
        OSError: the folder is no bundle.
    """
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return str(metadata["network_data_format"]["inputs"]["image"]["modality"])


def private_file(content: str) -> tuple[int, str]:
    """Keep a text in memory for a child: paths may hold names, and nothing is left behind when a process is killed.

    Returns:
        the open file, and the path by which a child that inherits it reads it.
    """
    file = os.memfd_create("private", 0)
    os.write(file, content.encode())
    return file, f"/proc/self/fd/{file}"
