"""Numbers of a segmenter's tables, whether measured just now or read back from CSV as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from custom_transforms.evidence.pooled_overlap import Array
from custom_transforms.refusal import RefusedError

Row = Mapping[str, Any]
FOUND, MISSED, FALSE_POSITIVE = "found", "missed", "false positive"  # what becomes of a lesion


def cell(row: Row, name: str) -> Any:
    """Take a cell.

    Raises:
        RefusedError: the table has no such column.
    """
    if name not in row:
        raise RefusedError.of("damaged_table", "table", expected=f"a column {name}", got="none")
    return row[name]


def column(rows: Sequence[Row], name: str) -> Array:
    """Take a column of numbers, `(P,)`; NaN where a cell is empty.

    Raises:
        RefusedError: no such column, or a cell that holds no number.
    """
    cells = [cell(row, name) for row in rows]
    try:
        return np.array([np.nan if value is None or value == "" else float(value) for value in cells], dtype=np.float64)
    except (TypeError, ValueError) as error:
        expected = f"numbers in column {name}"
        raise RefusedError.of("damaged_table", "table", expected=expected, got="something else") from error


def by_region(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Sort rows by region, in the order in which regions come."""
    regions: dict[str, list[Row]] = {}
    for row in rows:
        regions.setdefault(str(cell(row, "region")), []).append(row)
    return regions
