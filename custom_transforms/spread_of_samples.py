"""How far the samples of a patient's probability lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIDDLE = (2.5, 97.5)  # percentiles that hold 95 % of the samples


def spread_of_samples(probs: Sequence[float]) -> dict[str, float]:
    """Describe samples; they tell of the network that was drawn, and are no confidence interval of the truth.

    Args:
        probs: probabilities of one patient, 0..1.

    Returns:
        `samples`, their number; `spread`, their standard deviation (n - 1); `samples_low` and `samples_high`, between
        which 95 % of them lie, interpolated. Nothing for a single one, which has no spread.

    Example:
        >>> spread_of_samples([0.25, 0.75])["samples"]
        2
    """
    if len(probs) < 2:
        return {}
    low, high = np.percentile(probs, MIDDLE).tolist()
    return {"samples": len(probs), "spread": float(np.std(probs, ddof=1)), "samples_low": low, "samples_high": high}
