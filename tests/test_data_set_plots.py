"""Statistics of a data set worked out by hand, their pictures, and the command that makes both."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from matplotlib import _pylab_helpers

from custom_transforms.data_set_plots import draw_data_set
from custom_transforms.data_set_statistics import (
    POSITIONS,
    DataSetStatistics,
    measure_data_set,
    summarise,
    write_statistics,
)
from custom_transforms.refusal import RefusedError

COMMAND = Path(__file__).parents[1] / "scripts" / "explore_data_set.py"
LPS_2MM = np.diag([-1.0, -1, 2, 1])  # voxels of 2 mm3
CODES = {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}
SHAPE = (12, 14, 10)


def write_patient(folder: Path, case: str, labels: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Write a patient whose brain is 8 x 10 pixels in slices 1 to 8, that is 640 voxels."""
    rng = np.random.default_rng(88)
    files = [f"{case}_{name}.nii.gz" for name in ("t2", "flair", "t1", "t1ce")]
    for file in files:
        volume = np.zeros(SHAPE, dtype=np.float32)
        volume[2:10, 2:12, 1:9] = rng.uniform(1, 2, (8, 10, 8))
        nib.save(nib.Nifti1Image(volume, LPS_2MM), folder / file)
    nib.save(nib.Nifti1Image(labels, LPS_2MM), folder / f"{case}_seg.nii.gz")
    return {
        "case": case,
        "patient": case,
        "image": files,
        "modalities": ["T2", "FLAIR", "T1", "T1ce"],
        "label": f"{case}_seg.nii.gz",
        "label_convention": CODES,
    }


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients: 6 voxels of oedema and 2 of core in slice 4, 3 of them in slice 1; and 1 enhancing in slice 8."""
    folder = tmp_path_factory.mktemp("data_set")
    first, second = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    first[3:6, 3:5, 4] = 2
    first[7, 3:5, 4] = 1
    first[3:6, 3, 1] = 2
    second[4, 4, 8] = 4
    items = [write_patient(folder, "p1", first), write_patient(folder, "p2", second)]
    (folder / "data_list.json").write_text(json.dumps({"training": items, "validation": [], "test": []}))
    return folder


def read_items(folder: Path) -> list[dict[str, Any]]:
    items = json.loads((folder / "data_list.json").read_text())["training"]
    return [
        item | {"image": [folder / file for file in item["image"]], "label": folder / item["label"]} for item in items
    ]


@pytest.fixture(scope="module")
def statistics(data_set: Path) -> DataSetStatistics:
    return measure_data_set(read_items(data_set))


def test_counts_equal_those_worked_out_by_hand(statistics: DataSetStatistics) -> None:
    assert dict(statistics.tissue_voxels) == {"necrotic core": 2, "oedema": 9, "enhancing tumour": 1}
    assert statistics.brain_voxels == 2 * 640
    assert statistics.areas_pixels == [0, 3, 0, 0, 8, 0, 0, 0, 0, 0] + [0] * 8 + [1, 0]
    assert statistics.tumour_ml == pytest.approx({"p1": 11 * 0.002, "p2": 1 * 0.002})


def test_tumour_probability_runs_from_the_lowest_to_the_highest_slice_with_brain(statistics: DataSetStatistics) -> None:
    # brain in slices 1 to 8: slice 1 is at 0, slice 4 at 3/7 and slice 8 at 1; one of two patients has tumour there
    expected = {0: 0.5, 3 * POSITIONS // 7: 0.5, POSITIONS - 1: 0.5}
    probability = statistics.tumour_probability
    assert statistics.positions.sum() == 16
    assert {int(i): probability[i] for i in np.flatnonzero(probability > 0)} == expected


def test_summary_is_written_as_json(statistics: DataSetStatistics, tmp_path: Path) -> None:
    write_statistics(statistics, tmp_path / "new" / "statistics.json")

    numbers = json.loads((tmp_path / "new" / "statistics.json").read_text())
    assert numbers == summarise(statistics)
    assert (numbers["patients"], numbers["slices"], numbers["slices_with_tumour"]) == (2, 20, 3)
    assert numbers["share_of_tumour_slices_below_500_pixels"] == 1
    # slices at 1/3 to 2/3 of the way: 4 and 5 of each patient; one of the four has tumour
    assert numbers["tumour_probability_in_middle_third"] == 0.25


def test_region_says_what_counts_as_tumour(data_set: Path) -> None:
    core = measure_data_set(read_items(data_set), region="necrotic core")
    assert core.tumour_areas_pixels.tolist() == [2]
    assert [example.case for example in core.examples] == ["p1"]


def test_example_is_the_slice_with_most_tumour_in_ras_and_usual_order(statistics: DataSetStatistics) -> None:
    example = statistics.examples[0]
    assert (example.case, example.slice_index) == ("p1", 4)
    # LPS file: core at first index 7 of 12 and second 3, 4 of 14 = RAS 4 and 9, 10; the box starts at 0
    assert np.argwhere(example.tissues["necrotic core"]).tolist() == [[4, 9], [4, 10]]
    rng = np.random.default_rng(88)
    t2, flair = (rng.uniform(1, 2, (8, 10, 8)).astype(np.float32) for _ in range(2))
    np.testing.assert_array_equal(example.image[0][2:10, 2:12], flair[::-1, ::-1, 3])
    np.testing.assert_array_equal(example.image[3][2:10, 2:12], t2[::-1, ::-1, 3])


def test_patient_without_mask_is_refused(data_set: Path) -> None:
    item = read_items(data_set)[0]
    del item["label"]
    with pytest.raises(RefusedError, match="missing_label: p1"):
        measure_data_set([item])


def test_figures_are_drawn_outside_pyplot(statistics: DataSetStatistics) -> None:
    figures = draw_data_set(statistics)

    assert set(figures) == {"class_balance", "tumour_sizes", "tumour_position", "examples"}
    labels = [text.get_text() for text in figures["class_balance"].axes[0].texts]
    assert labels == ["17 (85.0%)", "3 (15.0%)"]
    assert not _pylab_helpers.Gcf.figs


def test_data_set_without_tumour_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a slice with WT, got none"):
        draw_data_set(DataSetStatistics("WT"))


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(COMMAND), *map(str, arguments)])
    runpy.run_path(str(COMMAND), run_name="__main__")


def test_command_writes_pictures_numbers_and_events(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_command(monkeypatch, data_set, "--output", tmp_path)

    names = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert names == {"class_balance", "tumour_sizes", "tumour_position", "examples", "statistics", "events"}


def test_command_says_in_one_line_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_command(monkeypatch, tmp_path)

    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "data_list.json: expected a data list with patients in 'training', got none" in line
