"""One page on an evaluation that needs nothing else: no script, no link outside, figures within."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import DictLoader, Environment, Undefined

from custom_transforms.evidence.html_style import STYLE
from custom_transforms.evidence.html_template import TEMPLATES
from custom_transforms.evidence.looked import Looked
from custom_transforms.evidence.region_tables import region_tables, strata_tables
from custom_transforms.evidence.report_text import (
    how_to_read,
    operating_point_facts,
    tiles,
    warnings_of,
    who_was_measured,
)
from custom_transforms.evidence.wording import MEASURES, interval, measure_name, number

Metrics = Mapping[str, Any]


class Shown(NamedTuple):
    """A figure on the page; `png` is base64, empty where there is no picture and `caption` says so."""

    title: str
    caption: str
    words: str
    png: str


def shown(title: str, caption: str, words: str, png: bytes | None) -> Shown:
    """Take a picture's bytes onto the page."""
    return Shown(title, caption, words, base64.b64encode(png).decode("ascii") if png else "")


def render_page(
    summary: Mapping[str, Any],
    *,
    pictures: Sequence[Shown],
    cases: Sequence[Shown] = (),
    looked: Looked | None = None,
    files: Sequence[tuple[str, str, str]],
) -> str:
    """Write the page. Whatever the summary holds is text: a name with tags in it does not become HTML.

    Args:
        summary: content of `metrics.json`.
        pictures: the figures.
        cases: pictures of patients: the best, median and worst case, or where the classifier looked.
        looked: what the check of its maps found.
        files: name, content, and whether it may be given away.
    """
    return (
        _environment()
        .get_template("page")
        .render(
            style=STYLE,
            summary=summary,
            title=summary.get("bundle") or f"a network for {summary['task']}",
            date=str(summary.get("date") or "date not recorded")[:10] if summary.get("date") else "date not recorded",
            tiles=tiles(summary),
            who=who_was_measured(summary),
            point=operating_point_facts(summary.get("operating_point")),
            reading=how_to_read(summary),
            warnings=warnings_of(summary),
            looked=looked,
            floors=_floors(summary),
            pictures=pictures,
            cases=cases,
            tables=region_tables(summary.get("regions", {})),
            strata=strata_tables(summary.get("strata") or []),
            files=files,
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(loader=DictLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "number": number,
        "interval": interval,
        "measure": measure_name,
        "meaning": lambda name: MEASURES[name][1] if name in MEASURES else "",
        "measures": lambda columns: _names(columns.values()),
        "group_measures": lambda rows: _names(row.get("metrics", {}) for row in rows),
        "shared": _shared,
        "known": lambda cell: "" if cell is None or isinstance(cell, Undefined) else cell,
        "percent": lambda share: f"{100 * share:g} %",
    }
    return environment


def _floors(summary: Mapping[str, Any]) -> list[tuple[str, Metrics, float]]:
    """Put beside each other, by region, what the network and what a single threshold reaches."""
    floors = (summary.get("best_single_threshold") or {}).get("regions", [])
    regions = summary.get("regions", {})
    return [(part["region"], regions.get(part["region"], {}).get("mean_dice", {}), part["dice"]) for part in floors]


def _names(parts: Any) -> list[str]:
    return list(dict.fromkeys(name for metrics in parts for name in metrics))


def _shared(columns: Mapping[str, Metrics], name: str, key: str) -> str:
    """Give what columns say of `n` or `method`: once where all say the same, else that of each."""
    said = [str(metrics[name].get(key, "")) for metrics in columns.values() if name in metrics]
    return said[0] if len(set(said)) == 1 else ", ".join(said)
