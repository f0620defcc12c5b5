"""From maps to a patient's result: the probability of evaluation, a region on the scan's grid, a whole record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.engines.utils import IterationEvents
from monai.transforms import Orientation
from small_points import make_point

from custom_transforms.patient_pooling import POOLINGS, EvidenceInferer, PatientPoolingInferer
from custom_transforms.patient_result import EvidenceToResultd, spread_over_slice
from custom_transforms.predictions import PredictionsHandler, table_row
from custom_transforms.slice_bag import SlicesToBagd
from custom_transforms.slice_classifier import SliceClassifier

AS_READ = np.array([[-2.0, 0, 0, 50], [0, -1.0, 0, 40], [0, 0, 5.0, 0], [0, 0, 0, 1]])  # LPS, 2 x 1 mm pixels


def make_item(maps: torch.Tensor, kept: list[int], *, affine: np.ndarray[Any, Any] = AS_READ) -> dict[str, Any]:
    """A volume of 20 columns of 2 mm, 24 rows of 1 mm and 4 slices whose brain is all but a margin of two pixels."""
    brain = torch.zeros(1, 20, 24, 4, dtype=torch.uint8)
    brain[:, 2:-2, 2:-2] = 1
    meta = {"original_affine": torch.from_numpy(affine), "slice_positions_mm": torch.tensor([0.0, 4.0, 8.0, 15.0])}
    dropped = {str(number): "too little brain: 1 cm2, at least 10" for number in range(4) if number not in kept}
    return {"pred": maps, "brain": MetaTensor(brain, affine=torch.from_numpy(AS_READ), meta=meta), "case": "c1",
            "slice_index": torch.tensor(kept), "dropped": json.dumps(dropped), "notes": "a note"}  # fmt: skip


def make_maps(logits: list[float], *, lit: tuple[int, int] | None = None) -> torch.Tensor:
    """Maps of 4x4 positions: the slices' logits everywhere, and evidence at one position of the first slice."""
    maps = torch.full((len(logits), 2, 4, 4), -9.0)
    maps[:, 1] = torch.tensor(logits)[:, None, None]
    if lit:
        maps[0, 0][lit] = 9.0
    return maps


@pytest.mark.parametrize("pooling", POOLINGS)
def test_probability_is_that_of_evaluation(pooling: str) -> None:
    torch.manual_seed(4)
    network = SliceClassifier(attention=pooling == "attention", widths=(8, 8, 8, 8), layers=(1, 1, 1, 1)).eval()
    bag = torch.randn(1, 4, 1, 64, 64)
    with torch.no_grad():
        logit = PatientPoolingInferer(pooling, top_k=2)(bag, network)
        maps = EvidenceInferer(slices_per_chunk=3)(bag, network)
    item = EvidenceToResultd("pred", pooling=pooling, top_k=2)(make_item(maps[0], [0, 1, 2, 3]))
    assert item["result"]["patient_probability"] == pytest.approx(float(logit.sigmoid()), abs=1e-6)


def test_region_is_where_the_evidence_is_and_in_the_brain() -> None:
    """The field is 40 mm wide; position (1, 2) of 4 covers 10..20 mm down and 20..30 mm across from its corner."""
    item = EvidenceToResultd("pred")(make_item(make_maps([2.0, -3.0, 1.0], lit=(1, 2)), [1, 2, 3]))
    region = item["region"][0].numpy()
    assert not region[:, :, [0, 2, 3]].any()  # dropped, not suspicious, suspicious without a place
    columns, rows = (np.flatnonzero(region[:, :, 1].any(axis)) for axis in (1, 0))
    down_mm = (rows + 0.5) * 1 + (40 - 24) / 2
    across_mm = (columns + 0.5) * 2
    assert 10 <= down_mm.mean() <= 20
    assert 20 <= across_mm.mean() <= 30
    assert down_mm.max() - down_mm.min() < 12
    everywhere = make_maps([5.0] * 4)
    everywhere[:, 0] = 9
    item = EvidenceToResultd("pred")(make_item(everywhere, [0, 1, 2, 3]))
    assert torch.equal(item["region"].as_tensor(), item["brain"].as_tensor())


def test_maps_lie_where_the_bag_shows_them() -> None:
    """A bright patch of a slice, brought into a bag and back, is where it was."""
    slices = torch.zeros(1, 20, 24, 1)
    slices[0, 12:16, 4:10, 0] = 1
    bag = SlicesToBagd("image", size=160)({"image": MetaTensor(slices, affine=torch.from_numpy(AS_READ))})["image"]
    back = spread_over_slice(bag[:, 0], (24, 20), [2.0, 1.0, 5.0])[0].T
    assert torch.equal(back > 0.5, slices[0, :, :, 0] > 0.5)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR", "SAL"])
def test_region_comes_on_the_grid_of_the_scan(axes: str) -> None:
    given = make_item(make_maps([2.0] * 4, lit=(0, 3)), [0, 1, 2, 3])
    as_read = Orientation(axcodes=axes, labels=None)(given["brain"])
    given["brain"].meta["original_affine"] = as_read.affine.clone()
    item = EvidenceToResultd("pred")(given)
    assert nib.aff2axcodes(item["pred"].affine.numpy()) == tuple(axes)
    assert item["pred"].shape == as_read.shape
    np.testing.assert_allclose(item["pred"].affine, as_read.affine)
    again = Orientation(axcodes="LPS", labels=None)(item["pred"])
    assert torch.equal(again.as_tensor(), item["region"].as_tensor())


@pytest.fixture
def point(tmp_path: Path) -> tuple[Path, Path]:
    """An operating point at 0.8, and its weights."""
    (tmp_path / "model.pt").write_bytes(b"weights")
    make_point(b"weights", threshold=0.8).write(tmp_path / "operating_point.json")
    return tmp_path / "operating_point.json", tmp_path / "model.pt"


@pytest.mark.parametrize(("logit", "decision"), [(2.0, "positive"), (1.0, "negative")])
def test_decision_is_made_at_the_operating_point(point: tuple[Path, Path], logit: float, decision: str) -> None:
    step = EvidenceToResultd("pred", operating_point=point[0], weights=point[1])
    item = step(make_item(make_maps([logit, -5.0], lit=(1, 1)), [1, 2]))
    assert item["record"]["decision"] == decision
    assert item["record"]["operating_point"]["threshold"] == 0.8
    assert item["record"]["calibrated_probability"] is None
    assert bool(item["region"].any()) == (decision == "positive")


def test_without_an_operating_point_no_decision_is_made(tmp_path: Path) -> None:
    step = EvidenceToResultd("pred", operating_point=tmp_path / "none.json", weights=tmp_path / "model.pt")
    record = step(make_item(make_maps([2.0, -5.0]), [1, 2]))["record"]
    assert record["decision"] == "none: no operating point"
    assert record["operating_point"] is None
    assert record["calibrated_probability"] is None
    assert table_row(record)["threshold"] is None


def test_result_names_its_operating_point_and_stands_beside_the_calibrated_probability(
    point: tuple[Path, Path],
) -> None:
    """A logit of 2.0 is 0.88, above the threshold; half of it less 2 is -1, 0.27, which is not."""
    written = make_point(b"weights", threshold=0.8, calibration={"kind": "platt", "slope": 0.5, "intercept": -2.0})
    written.write(point[0])
    step = EvidenceToResultd("pred", operating_point=point[0], weights=point[1])
    record = step(make_item(make_maps([2.0, -5.0]), [1, 2]))["record"]
    assert record["calibrated_probability"] == pytest.approx(1 / (1 + np.exp(1.0)))
    assert record["operating_point"] == json.loads(point[0].read_text())
    row = table_row(record)
    assert (row["decision"], row["threshold"]) == ("positive", 0.8)
    assert row["operating_point_version"] == written.described()["operating_point_version"]
    assert row["calibrated_probability"] == record["calibrated_probability"]


def test_record_accounts_for_every_slice(point: tuple[Path, Path]) -> None:
    step = EvidenceToResultd("pred", operating_point=point[0], weights=point[1])
    record = step(make_item(make_maps([0.5, 3.0, 1.0]), [0, 2, 3]))["record"]
    assert record["slices"] == {"total": 4, "used": 3, "dropped": 1}
    assert [row["slice"] for row in record["by_slice"]] == [0, 2, 3]
    assert [row["position_mm"] for row in record["by_slice"]] == [0, 8, 15]
    assert record["dropped"] == [{"slice": 1, "reason": "too little brain: 1 cm2, at least 10"}]
    assert record["carrying_slices"] == [0, 2, 3]
    assert record["patient_probability"] == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert json.loads(json.dumps(record)) == record


def test_result_is_written_with_its_row_of_the_table(tmp_path: Path) -> None:
    item = make_item(make_maps([2.0]), [2])
    record = EvidenceToResultd("pred")({**item, "case": "b/../x"})["record"]
    engine = Engine(lambda *_: None)
    engine.register_events(*IterationEvents)
    PredictionsHandler(tmp_path).attach(engine)
    engine.state.batch, engine.state.output = [{}], [{"record": record}]
    engine.fire_event(IterationEvents.MODEL_COMPLETED)
    assert json.loads((tmp_path / "b_.._x.json").read_text()) == record
    [output] = engine.state.output
    assert output["table"] == {"case": "b/../x", "probability": record["patient_probability"],
        "calibrated_probability": None, "decision": "none: no operating point", "threshold": None,
        "operating_point_version": None, "slices_used": 1, "slices_dropped": 3,
        "reasons": "3 too little brain", "carrying_slices": "2", "notes": "a note"}  # fmt: skip


def test_threshold_of_another_pooling_is_refused(point: tuple[Path, Path]) -> None:
    step = EvidenceToResultd("pred", operating_point=point[0], weights=point[1], settings={"pooling": "mean"})
    with pytest.raises(ValueError, match="operating_point_of_other_settings"):
        step(make_item(make_maps([1.0]), [0]))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_probability_is_that_of_evaluation_in_half_precision_too(pooling: str) -> None:
    torch.manual_seed(5)
    network = SliceClassifier(attention=pooling == "attention", widths=(8, 8, 8, 8), layers=(1, 1, 1, 1)).eval()
    bag = torch.randn(1, 4, 1, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logit = PatientPoolingInferer(pooling, top_k=2)(bag, network)
        maps = EvidenceInferer()(bag, network)
    assert logit.dtype == torch.float32
    item = EvidenceToResultd("pred", pooling=pooling, top_k=2)(make_item(maps[0], [0, 1, 2, 3]))
    assert item["result"]["patient_probability"] == pytest.approx(float(logit.sigmoid()), abs=1e-7)


def test_threshold_of_another_network_is_refused(point: tuple[Path, Path]) -> None:
    point[1].write_bytes(b"retrained")
    step = EvidenceToResultd("pred", operating_point=point[0], weights=point[1])
    with pytest.raises(ValueError, match="operating_point_of_other_weights: operating_point.json: expected"):
        step(make_item(make_maps([1.0]), [0]))


def test_network_that_is_trained_anew_behind_a_server_gets_its_own_threshold(point: tuple[Path, Path]) -> None:
    step = EvidenceToResultd("pred", operating_point=point[0], weights=point[1])
    step(make_item(make_maps([1.0]), [0]))
    point[1].write_bytes(b"retrained")
    with pytest.raises(ValueError, match="operating_point_of_other_weights"):
        step(make_item(make_maps([1.0]), [0]))
    make_point(b"retrained", threshold=0.25).write(point[0])
    item = step(make_item(make_maps([1.0]), [0]))
    assert item["record"]["operating_point"]["threshold"] == 0.25
