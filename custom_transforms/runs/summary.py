"""Tables of a run, made from its ledgers: how many studies ended how, and one row for each."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from custom_transforms.atomic_file import whole_file
from custom_transforms.runs.ledger import DONE, Row, newest_rows, read_row

TABLE, SUMMARY = "predictions.csv", "summary.json"
ENDS = ("status", "reason")
NONE = "none: "  # how the remark begins on results in DICOM that could not be written


def sum_up(folder: Path, ids: Sequence[str], fingerprint: str) -> dict[str, Any]:
    """Write `summary.json`, whose counts add up to the list, and `predictions.csv`, with each study that is done once.

    Rows are read one by one, so that memory does not grow with their number.

    Args:
        folder: output folder with the ledgers, those of all shards.
        ids: row ids of all studies of the list, in its order.
        fingerprint: of the work; a result of other weights or settings counts as pending.

    Returns:
        what stands in `summary.json`.
    """
    states: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {"refused": Counter(), "failed": Counter()}
    columns: dict[str, None] = {"case": None}
    without_dicom = 0
    for row in _done_rows(folder, ids, fingerprint):
        states[row["status"]] += 1
        columns.update(dict.fromkeys(row["table"]))
        if row["status"] in reasons:
            reasons[row["status"]][row["code"]] += 1
        without_dicom += row["table"].get("dicom", "").startswith(NONE)
    with whole_file(folder / TABLE) as file, file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*columns, *ENDS])
        writer.writeheader()
        for row in _done_rows(folder, ids, fingerprint):
            writer.writerow({"case": row["case"], **row["table"], "status": row["status"], "reason": row["message"]})
    summary = {
        "studies": len(ids),
        **{status: states[status] for status in DONE},
        "pending": len(ids) - states.total(),
        **{f"{status}_by_reason": dict(counts.most_common()) for status, counts in reasons.items()},
    }
    if "dicom" in columns:  # asked for
        summary["without_dicom"] = without_dicom
    with whole_file(folder / SUMMARY) as file:
        file.write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def tell(summary: dict[str, Any]) -> str:
    """Say a summary in one line."""
    reasons = {**summary["refused_by_reason"], **summary["failed_by_reason"]}
    counts = ", ".join(f"{summary[name]} {name}" for name in (*DONE, "pending"))
    listed = "; ".join(f"{count} {code}" for code, count in reasons.items())
    told = f"{summary['studies']} studies: {counts}" + (f" ({listed})" if listed else "")
    lacking = summary.get("without_dicom", 0)
    return told + (f"; {lacking} of them without DICOM results, for the reasons in {TABLE}" if lacking else "")


def _done_rows(folder: Path, ids: Sequence[str], fingerprint: str) -> Iterator[Row]:
    newest = newest_rows(folder)
    for study in ids:
        if study in newest and newest[study].status in DONE:
            row = read_row(newest[study])
            if row["fingerprint"] == fingerprint:
                yield row
