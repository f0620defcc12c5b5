"""Patients grouped by what a column says of them: bands of numbers, or values of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError

MISSING = "missing"
NO_VALUE = {"", "na", "n/a", "nan", "none", "null"}
MOST_CODES = 3  # so many different numbers, as 0 and 1 for a sex, are codes and no measurement
Groups = dict[str, NDArray[np.bool_]]


def group_patients(column: str, values: Sequence[object], edges: Sequence[float] | None = None) -> Groups:
    """Put patients into groups.

    Args:
        column: name of the column, for messages.
        values: text or number of each patient, `(P,)`. None, NaN, and texts such as "" and "NA" are missing.
        edges: where bands of numbers part, ascending; a patient at an edge is in the upper band. The default, None,
            cuts more than 3 different numbers at their tertiles, and leaves fewer, and texts, as they are.

    Returns:
        who is in which group, `(P,)` each: bands ascending, texts in order, `missing` last, none empty.

    Raises:
        RefusedError: edges for a column of texts, or not ascending.
    """
    texts = ["" if value is None else str(value).strip() for value in values]
    known = np.array([text.lower() not in NO_VALUE for text in texts], dtype=bool)
    numbers = [_number(text) for text, is_known in zip(texts, known, strict=True) if is_known]
    if numbers and None not in numbers and (edges is not None or len(set(numbers)) > MOST_CODES):
        amounts = np.full(len(texts), np.nan)
        amounts[known] = numbers
        groups = _bands(amounts, _ascending(column, edges) if edges is not None else _tertiles(amounts[known]))
    elif edges is not None and numbers:
        raise RefusedError.of("bad_bands", column, expected="numbers, which the edges are to cut", got="texts")
    else:
        order = sorted({text for text, is_known in zip(texts, known, strict=True) if is_known}, key=_order)
        groups = {text: np.array([other == text for other in texts]) & known for text in order}
    groups[MISSING] = ~known
    return {name: members for name, members in groups.items() if members.any()}


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _order(text: str) -> tuple[float, str]:
    number = _number(text)
    return (math.inf if number is None else number, text)


def _ascending(column: str, edges: Sequence[float]) -> list[float]:
    given = [float(edge) for edge in edges]
    if not given or not all(math.isfinite(edge) for edge in given) or sorted(set(given)) != given:
        raise RefusedError.of("bad_bands", column, expected="edges that ascend", got=str(list(edges)))
    return given


def _tertiles(amounts: NDArray[np.float64]) -> list[float]:
    return sorted({float(edge) for edge in np.quantile(amounts, [1 / 3, 2 / 3])})


def _bands(amounts: NDArray[np.float64], edges: Sequence[float]) -> Groups:
    """Cut numbers, of which NaN is in no band."""
    bounds = [-math.inf, *edges, math.inf]
    names = [f"below {edges[0]:.4g}", *(f"{low:.4g} to below {high:.4g}" for low, high in pairwise(edges))]
    names.append(f"{edges[-1]:.4g} and above")
    return {
        name: (amounts >= low) & (amounts < high)
        for name, low, high in zip(names, bounds[:-1], bounds[1:], strict=True)
    }
