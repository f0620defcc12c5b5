"""Results under a name that the data list now gives to another study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from custom_transforms.file_stem import file_stem
from custom_transforms.runs.ledger import Entry, Ledger, newest_rows, now, read_row


def remove_reassigned(folder: Path, ledger: Ledger, owners: Mapping[str, str]) -> None:
    """Remove the results under each name that is another study's now, and say so in the ledger.

    One patient's result must not stay under another's name, as it would where that one is refused. It is done before
    anything is written: of two names that were exchanged, the one's old file has the name of the other's new one.

    Args:
        folder: of results and ledgers, held meanwhile.
        ledger: that of this run.
        owners: row id of the study that each name, as files have it, belongs to.
    """
    for row, entry in newest_rows(folder).items():
        if entry.status == "ok" and owners.get(file_stem(read_row(entry)["case"]), row) != row:
            remove_outputs(folder, entry)
            ledger.append({"row": row, "status": "removed", "date": now()})


def remove_outputs(folder: Path, entry: Entry) -> None:
    """Remove the files that a study's row names."""
    for name in read_row(entry)["outputs"]:
        (folder / name).unlink(missing_ok=True)
