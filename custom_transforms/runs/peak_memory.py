"""The most memory that one study took."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

RESET_PEAK = "5"  # Linux, proc(5), /proc/[pid]/clear_refs


class PeakMemory:
    """Highest resident memory of this process since it was made, where the kernel allows to start anew.

    `resource.getrusage` knows only the maximum since the process began, which is that of the largest study so far.

    Example:
        >>> peak = PeakMemory()
        >>> peak.megabytes()
        412.3
    """

    def __init__(self) -> None:
        self._is_reset = False
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text(RESET_PEAK)
            self._is_reset = True

    def megabytes(self) -> float | None:
        """Give the peak in MB (10^6 bytes), or None where it cannot be told for one study."""
        if self._is_reset:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return round(int(line.split()[1]) * 1024 / 10**6, 1)
        return None
