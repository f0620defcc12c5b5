"""Columns of a table that are carried into a CT data list, and those that must not be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_ct_lists import add_folders, add_scan, make_set, run_command

from data_lists.ct_layout import find_ct_data_set
from data_lists.data_list_file import DataList
from data_lists.neutral_names import hide_names


def add_columns(root: Path, header: str, *rows: str) -> Path:
    (root / "labels1.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return root


def test_columns_that_are_asked_for_are_carried_as_texts(tmp_path: Path) -> None:
    make_set(tmp_path, patients=2)
    add_columns(tmp_path, "PatientID,Label,age,scanner,remark", "p00,0,63,GE,x", "p01,1, ,Siemens,y")
    done = run_command(tmp_path, "--fractions", "0", "0", "1", "--columns", "age", "scanner")
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads((tmp_path / "data_list.json").read_text(encoding="utf-8"))
    assert written["columns"] == ["age", "scanner"]
    assert [(item["age"], item["scanner"], "remark" in item) for item in written["test"]] == [
        ("63", "GE", False), (None, "Siemens", False)]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "rows", "column", "reason"),
    [
        (
            "PatientID,Label,age",
            ["p00,0,1", "p01,1,2"],
            "sex",
            "expected the column sex, got only PatientID, Label, age",
        ),
        ("PatientID,Label,age", ["p00,0,1", "p01,1,2"], "PatientID", "do not tell who somebody is, got PatientID"),
        (
            "PatientID,Label,Last Name",
            ["p00,0,A", "p01,1,B"],
            "Last Name",
            "do not tell who somebody is, got Last Name",
        ),
        ("PatientID,Label,BirthDate", ["p00,0,1", "p01,1,2"], "BirthDate", "got BirthDate"),
        (
            "PatientID,Label,slices",
            ["p00,0,1", "p01,1,2"],
            "slices",
            "names that the data list does not use, got slices",
        ),
        ("PatientID,Label,age", ["p00,0,1", "p00,0,2", "p01,1,2"], "age", "the same age in all rows of a patient"),
    ],
)
def test_columns_that_cannot_be_carried_are_refused(
    tmp_path: Path, header: str, rows: list[str], column: str, reason: str
) -> None:
    add_columns(add_folders(tmp_path, "p00", "p01"), header, *rows)
    with pytest.raises(ValueError, match=reason):
        find_ct_data_set(tmp_path, columns=[column])


def test_text_that_differs_between_all_patients_is_refused_and_a_number_is_not(tmp_path: Path) -> None:
    add_folders(tmp_path, *(f"p{number:02d}" for number in range(10)))
    rows = [f"p{number:02d},{number % 2},{number}.5,note {number}" for number in range(10)]
    add_columns(tmp_path, "PatientID,Label,volume,remark", *rows)
    assert find_ct_data_set(tmp_path, columns=["volume"]).cases[3].columns == {"volume": "3.5"}
    with pytest.raises(ValueError, match="expected a column that patients share, got remark"):
        find_ct_data_set(tmp_path, columns=["remark"])


def test_column_whose_text_stands_in_the_tags_is_refused() -> None:
    items = [{"case": "p1", "patient": "p1", "image": "CTs/p1", "ward": "of Doe"}]
    data_list: DataList = {"columns": ["ward"], "training": [], "validation": [], "test": items}  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match="got ward: it is in the tags"):
        hide_names(data_list, Path("set"), lambda text, path: "Doe" in text and path == Path("set/CTs/p1"))


def test_columns_need_a_table(tmp_path: Path) -> None:
    add_scan(tmp_path / "a.nii.gz", seed=1)
    with pytest.raises(ValueError, match="expected a table of labels for the columns age, got unlabelled studies"):
        find_ct_data_set(tmp_path, unlabelled=True, columns=["age"])
