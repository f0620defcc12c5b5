"""What becomes of a training when some of its patients cannot be used."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path

import ignite.distributed as idist

from custom_transforms.atomic_file import remove_leftovers, whole_file
from custom_transforms.mri_study import case_name
from custom_transforms.prepared_items import PreparedItems
from custom_transforms.refusal import RefusedError

COLUMNS = ("fold", "case", "reason")


def leave_out_refused(
    folds: Mapping[str, PreparedItems],
    refused: Mapping[str, Mapping[int, str]],
    *,
    max_refused: int,
    table: str | Path | None = None,
) -> None:
    """Name every refused patient, and leave them out of their data sets if they are few enough.

    Args:
        folds: name of a fold to its data set.
        refused: name of a fold to the positions of its refused patients and the reason; on every rank those of all.
        max_refused: largest number over all folds.
        table: csv file with the columns `COLUMNS`, written where there are any, on the first rank; None: not.

    Raises:
        RefusedError: they are more.
    """
    rows = [
        {"fold": fold, "case": case_name(folds[fold].data[index]), "reason": reason}
        for fold, reasons in refused.items()
        for index, reason in sorted(reasons.items())
    ]
    if idist.get_rank() == 0:
        _tell(rows, Path(table) if table else None)
    if len(rows) > max_refused:
        expected = f"at most {max_refused} patient(s) that cannot be used (max_refused)"
        got = f"{len(rows)}, the first: {rows[0]['reason']}"
        raise RefusedError.of("refused_studies", "data", expected=expected, got=got)
    for fold, reasons in refused.items():
        folds[fold].leave_out(reasons.keys())


def _tell(rows: list[dict[str, str]], table: Path | None) -> None:
    for row in rows:
        logging.getLogger(__name__).warning("refused from %s, case %s: %s", row["fold"], row["case"], row["reason"])
    if table is None:
        return
    if table.parent.is_dir():
        remove_leftovers(table.parent)
    if not rows:
        table.unlink(missing_ok=True)  # of an earlier run
        return
    with whole_file(table) as file, file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
