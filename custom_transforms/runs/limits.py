"""What reading one study may take."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Memory and time for one study.

    They decide whether a study is read, never what is read: `custom_transforms.fingerprint` leaves them out.
    Where Python has no module `resource` (Windows), and on macOS, which does not enforce it, memory has no limit;
    time has one everywhere.

    Args:
        memory_mib: address space of the process that reads, with its libraries, which take about 400 MiB.
        seconds: of the clock, and of the processor.
    """

    memory_mib: int = 4096
    seconds: float = 300

    def __post_init__(self) -> None:
        """Refuse limits under which nothing can be read."""
        if self.memory_mib <= 0 or not 0 < self.seconds < threading.TIMEOUT_MAX:
            raise ValueError(f"limits: expected memory and time above 0, got {self}")


LIMITS = Limits()
