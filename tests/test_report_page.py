"""The page of an evaluation: it needs nothing else, can be read by everybody, and holds what was measured."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from evaluation_folders import NOTE, write_classifier_folder, write_segmenter_folder

from custom_transforms.evidence import write_report as module
from custom_transforms.evidence.evidence_files import read_cases, write_json
from custom_transforms.evidence.html_style import STYLE
from custom_transforms.evidence.wording import number
from custom_transforms.evidence.write_report import write_report
from custom_transforms.refusal import RefusedError

HOSTILE = "<script>alert('1')</script>\"> $\\frac{"
Attributes = dict[str, str | None]


class Page(HTMLParser):
    """Tags with their attributes, and the words that a reader sees."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, Attributes]] = []
        self.words = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"

    def all(self, *names: str) -> list[Attributes]:
        return [attributes for name, attributes in self.tags if name in names]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier's evaluation, with its report."""
    folder = tmp_path_factory.mktemp("classifier")
    write_classifier_folder(folder)
    write_report(folder)
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take seconds."""
    for name in ("draw_classifier", "draw_segmenter"):
        monkeypatch.setattr(module, name, lambda *given: [])


@pytest.fixture
def classifier(measured: Path) -> tuple[dict[str, Any], Page]:
    return json.loads((measured / "metrics.json").read_text()), Page(measured / "report.html")


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("segmenter")
    write_segmenter_folder(folder)
    return Page(write_report(folder))


@pytest.fixture(params=["classifier", "segmenter"])
def page(request: pytest.FixtureRequest) -> Page:
    found = request.getfixturevalue(request.param)
    return found if isinstance(found, Page) else found[1]


def test_page_needs_nothing_else(page: Page) -> None:
    assert {name for name, _ in page.tags} & {"script", "link", "iframe", "object", "base", "form"} == set()
    places = [str(attributes[key]) for _, attributes in page.tags for key in ("src", "href") if key in attributes]
    assert all(place.startswith(("data:image/png;base64,iVBOR", "#")) for place in places)
    assert not any(key.startswith("on") or key == "style" for _, attributes in page.tags for key in attributes)
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_page_can_be_heard(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert all(len(str(image["alt"])) > 40 for image in page.all("img"))
    assert all(cell["scope"] in ("row", "col") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) > 3
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    targets = {f"#{attributes['id']}" for _, attributes in page.tags if "id" in attributes}
    assert {str(link["href"]) for link in page.all("a")} <= targets


def test_letters_have_the_contrast_of_wcag_aa() -> None:
    def luminance(colour: str) -> float:
        full = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
        parts = [int(full[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    named = dict(re.findall(r"--(\w+): (#\w+)", STYLE))
    pairs = [(named[name], ground) for name in ("ink", "quiet", "blue") for ground in ("#ffffff", named["head"])]
    pairs += [(named["ink"], "#f3f3f3")]
    pairs += [pair[::-1] for pair in re.findall(r"background: (#\w+); color: (#\w+)", STYLE)]
    assert len(pairs) == 9
    for pair in pairs:
        dark, light = sorted(map(luminance, pair))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_page_holds_every_number_of_a_classifier(classifier: tuple[dict[str, Any], Page]) -> None:
    summary, page = classifier
    found = [*summary["metrics"].values(), *(group["metrics"]["auc"] for group in summary["subgroups"])]
    found += [row[name] for row in summary["at_prevalence"] for name in ("ppv", "npv")]
    found += [row["estimate"] for row in summary["at_fixed"]]
    for estimate in found:
        assert number(estimate["value"]) in page.words
        assert (
            estimate["ci_low"] is None or f"{number(estimate['ci_low'])} to {number(estimate['ci_high'])}" in page.words
        )
    for told in (NOTE, "Research only. Not a medical device.", "sensitivity at least 0.85", "0f" * 32, "a7" * 32):
        assert told in page.words
    assert all(warning in page.words for warning in summary["warnings"])


def test_page_of_a_segmenter_knows_rows_and_no_cases(segmenter: Page) -> None:
    assert "BraTS_" not in segmenter.words
    assert "BraTS_" not in " ".join(str(image["alt"]) for image in segmenter.all("img"))
    for place in ("Best", "Median", "Worst"):
        assert f"{place} case. Row test-00" in segmenter.words
    assert "No picture" not in segmenter.words
    assert len(segmenter.all("img")) == 6 + 3


@pytest.mark.usefixtures("undrawn")
def test_report_is_written_where_the_key_to_the_ids_is_not(tmp_path: Path) -> None:
    write_segmenter_folder(tmp_path, patients=4)
    (tmp_path / "row_ids.csv").unlink()
    page = Page(write_report(tmp_path))
    assert page.words.count("No picture of it was drawn") == 3
    assert "row_ids.csv stays" not in page.words


def test_without_an_operating_point_no_decision_is_made(tmp_path: Path) -> None:
    write_classifier_folder(tmp_path, decided=False, patients=20)
    page = Page(write_report(tmp_path))
    assert "No decision is made" in page.words
    assert "Specificity share of" not in page.words
    assert not (tmp_path / "figures" / "confusion.png").exists()


@pytest.mark.usefixtures("undrawn")
def test_doubts_about_the_threshold_are_told(measured: Path, tmp_path: Path) -> None:
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert "chosen on other patients than those measured here" in Page(tmp_path / "report.html").words
    calibration = {"kind": "isotonic", "probability": [0.1, 0.7], "calibrated": [0.0, 0.9]}
    summary["operating_point"] |= {"split": "test", "warnings": ["few positives"], "calibration": calibration}
    write_json(tmp_path / "metrics.json", summary)
    words = Page(write_report(tmp_path)).words
    assert "operating point: few positives" in words
    assert "chosen on the fold that is measured here, which flatters" in words
    assert "chosen on other patients" not in words
    assert "Calibration map isotonic, 2 steps" in words


def explained(folder: Path, weights: str) -> None:
    """Write what explaining leaves beside an evaluation: one picture for each row."""
    estimate = {"value": 0.25, "ci_low": 0.11, "ci_high": 0.39, "n": 9, "method": "patient bootstrap"}
    part = {"area": estimate, "random_area": estimate, "difference": estimate, "finding": "matters", "words": "it does"}
    write_json(folder / "deletion.json", {"fold": "test", "weights_sha256": weights, "maps": {"grad_cam": part}})
    (folder / "saliency").mkdir()
    for row in read_cases(folder):
        shutil.copy(folder / "figures" / "roc.png", folder / "saliency" / f"{row}.png")


@pytest.mark.usefixtures("undrawn")
def test_page_shows_where_the_network_looked(measured: Path, tmp_path: Path) -> None:
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    explained(tmp_path, "a7" * 32)
    page = Page(write_report(tmp_path))
    assert "Grad-CAM: matters: it does." in page.words
    assert "0.250 0.110 to 0.390" in page.words
    with (tmp_path / "patients.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "1"]
    surest = max(rows, key=lambda row: float(row["prob"]))
    missed = min(rows, key=lambda row: float(row["prob"]))
    assert f"Found. Row {surest['row']}, positive" in page.words
    assert f"Missed. Row {missed['row']}, positive" in page.words


@pytest.mark.usefixtures("undrawn")
def test_explanation_of_other_weights_is_left_out(measured: Path, tmp_path: Path) -> None:
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    explained(tmp_path, "b8" * 32)
    assert "Where did it look" not in Page(write_report(tmp_path)).words


def test_hostile_names_stay_text(measured: Path, tmp_path: Path) -> None:
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    summary = json.loads((tmp_path / "metrics.json").read_text())
    summary["subgroups"][0] |= {"column": HOSTILE, "group": HOSTILE, "warning": HOSTILE}
    summary |= {"note": HOSTILE, "bundle": HOSTILE, "version": HOSTILE, "warnings": [HOSTILE], "fold": HOSTILE}
    summary["operating_point"]["rule"] = HOSTILE
    write_json(tmp_path / "metrics.json", summary)
    page = Page(write_report(tmp_path))
    assert page.all("script") == []
    assert page.words.count(HOSTILE) >= 8
    assert any(HOSTILE in str(image["alt"]) for image in page.all("img"))


def test_figures_of_an_earlier_evaluation_go(measured: Path, tmp_path: Path) -> None:
    shutil.copytree(measured / "figures", tmp_path / "figures")
    assert (tmp_path / "figures" / "roc.png").exists()
    write_segmenter_folder(tmp_path, patients=3, drawn=False)
    write_report(tmp_path)
    assert not (tmp_path / "figures" / "roc.png").exists()
    assert (tmp_path / "figures" / "boxes_dice.png").exists()


def test_one_patient_of_one_class_gets_a_page(tmp_path: Path) -> None:
    write_classifier_folder(tmp_path, patients=1)
    page = Page(write_report(tmp_path))
    assert "not defined" in page.words
    assert not (tmp_path / "figures" / "roc.png").exists()


def test_what_cannot_be_drawn_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_segmenter_folder(tmp_path, patients=3, drawn=False)
    (tmp_path / "report.html").write_text("of before")

    def fails(*given: object, **named: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(module, "render_page", fails)
    with pytest.raises(RuntimeError, match="no page"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == "of before"
    assert not (tmp_path / "figures").exists()


def rewritten(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("metrics.json", "{", "", "damaged_evaluation: metrics.json: expected JSON"),
        ("metrics.json", '"segmentation"', '"poetry"', "damaged_evaluation: metrics.json: expected the task"),
        ("metrics.json", '"strata": [', '"strata": [3, ', "damaged_evaluation: metrics.json"),
        ("metrics.json", '"TC": {', '"TC": 7, "XC": {', "damaged_evaluation: metrics.json"),
        ("metrics.json", '"patients": 3', '"patients": 4', "other_patients: patients.csv: expected the 4 patients"),
        (
            "patients.csv",
            "dice",
            "dike",
            "damaged_evaluation: patients.csv: expected rows with the columns row, region",
        ),
        ("patients.csv", ",240.0,", ",far,", "damaged_evaluation: patients.csv: expected numbers"),
        ("lesions.csv", "test-0001", "test-0099", "other_patients: lesions.csv: expected rows of patients.csv"),
    ],
)
def test_folder_that_does_not_hold_together_is_refused(
    tmp_path: Path, file: str, old: str, new: str, line: str
) -> None:
    write_segmenter_folder(tmp_path, patients=3, drawn=False)
    rewritten(tmp_path / file, old, new)
    with pytest.raises(RefusedError, match=line):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("file", ["metrics.json", "patients.csv"])
def test_folder_without_evaluation_is_refused(tmp_path: Path, file: str) -> None:
    write_segmenter_folder(tmp_path, patients=3, drawn=False)
    (tmp_path / file).unlink()
    with pytest.raises(RefusedError, match=f"missing_evaluation: {file}: expected a folder that evaluating"):
        write_report(tmp_path)
