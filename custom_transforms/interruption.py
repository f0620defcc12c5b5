"""End a run that a batch scheduler wants to end, with an exit status that says: resume me."""

from __future__ import annotations

import logging
import os
import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
RESUME_ME = 75  # EX_TEMPFAIL of sysexits.h
ADVICE = "interrupted: run the same command again, a training with --resume auto"


class InterruptedRunError(BaseException):
    """The end that a signal asked for. No `Exception`, so that nothing takes it for a fault and goes on."""


class Interruption:
    """What SIGTERM and SIGUSR1 do in this process: end it at once, or after the step that is being done.

    At once means by an exception: what is being written goes away, workers are ended. A step, which `FinishStepHandler`
    tells of, is finished first.

    Attributes:
        asked: a signal has come.
        in_step: it must wait.
    """

    def __init__(self) -> None:
        self.asked = False
        self.in_step = False
        self._process = 0

    def catch(self) -> None:
        """Take the signals from now on; only a process's main thread can."""
        self._process = os.getpid()
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def end(self) -> None:
        """End the run.

        Raises:
            InterruptedRunError: always.
        """
        logging.disable()  # each engine on the way out would log a traceback
        raise InterruptedRunError(ADVICE)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a data loader's worker: its parent ends it
        self.asked = True
        if not self.in_step:
            self.end()


INTERRUPTION = Interruption()  # a process has one
