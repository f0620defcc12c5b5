"""Check study after study, and tell of all in a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

from custom_transforms.fit_study import FitStudy
from custom_transforms.identifying import holds_identity
from custom_transforms.refusal import RefusedError

WIDEST = 100  # letters of a reason in the table; the JSON file has it whole


class Row(TypedDict):
    """What is told of one study: `status` is `ok` or `refused`, the texts of the other are empty."""

    study: str
    status: str
    reason_code: str
    reason: str
    warnings: list[str]
    notes: list[str]


def check_studies(studies: Sequence[tuple[str, Path]], check: Callable[[Path], FitStudy]) -> Iterator[Row]:
    """Check one study after the other; one that fails does not stop the rest.

    Args:
        studies: names and places. A name that gives away whose study it is becomes the number of the study.
        check: raises a RefusedError where a study is not fit.
    """
    for number, (name, path) in enumerate(studies, start=1):
        shown = f"study {number} of {len(studies)}" if holds_identity(name, path) else name
        row = Row(study=shown, status="ok", reason_code="", reason="", warnings=[], notes=[])
        try:
            study = check(path)
            row["warnings"], row["notes"] = list(study.warnings), list(study.notes)
        except RefusedError as error:
            row["status"], row["reason_code"], row["reason"] = "refused", str(error).partition(":")[0], str(error)
        yield row


def as_table(rows: Iterable[Row]) -> str:
    """Lay rows out for the screen, one line a study: status, name, and the reason or the warnings."""
    rows = list(rows)
    width = max((len(row["study"]) for row in rows), default=0)
    return "\n".join(f"{row['status']:7}  {row['study']:{width}}  {_told(row)}".rstrip() for row in rows)


def _told(row: Row) -> str:
    told = row["reason"] or "; ".join(f"warning: {text}" for text in row["warnings"])
    return told if len(told) <= WIDEST else told[: WIDEST - 1] + "…"
