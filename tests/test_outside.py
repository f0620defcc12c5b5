"""How far a study is from what the network was trained on: the distance, the limit, and what inference makes of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import BRATS, CT
from monai.bundle import ConfigParser
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from small_runs import build, write_place
from small_weights import make_network
from tiny_studies import MRI_CHANNELS, TINY, write_mri_weights

from custom_transforms.feature_statistics import FeatureStatistics, read_feature_statistics
from custom_transforms.fit_outside import choose_limit, limit_rank
from custom_transforms.layer_features import LayerFeatures
from custom_transforms.outside_score import OUTSIDE, OutsideScoreHandler
from custom_transforms.patient_pooling import EvidenceInferer, PatientPoolingInferer
from custom_transforms.patient_scores import PatientScores
from custom_transforms.refusal import RefusedError, SomeRefusedError
from custom_transforms.runs.ledger import Row, newest_rows, read_row
from custom_transforms.runs.study_evaluator import StudyEvaluator
from custom_transforms.shrunk_gaussian import ShrunkGaussian
from custom_transforms.slice_classifier import SliceClassifier
from data_lists.phantom_ct import make_head

FILE = "feature_statistics.safetensors"


@pytest.mark.parametrize(("samples", "features"), [(12, 40), (60, 5), (2, 4)])
def test_distance_is_that_of_the_shrunk_covariance(samples: int, features: int) -> None:
    rng = np.random.default_rng(3)
    seen = rng.normal(5, 2, (samples, features)) @ rng.normal(size=(features, features))
    standard = (seen - seen.mean(0)) / seen.std(0)
    covariance = LedoitWolf(assume_centered=True).fit(standard).covariance_
    if samples == 2:  # no shrinkage by the formula, and no inverse
        covariance = 0.999 * covariance + 0.001 * np.trace(covariance) / features * np.eye(features)
    found = ShrunkGaussian.of(seen)
    for study in (*seen[:2], *rng.normal(0, 30, (3, features))):
        expected = mahalanobis((study - seen.mean(0)) / seen.std(0), np.zeros(features), np.linalg.inv(covariance))
        assert found.distance(study) == pytest.approx(expected, rel=1e-6)


def test_channel_that_is_silent_in_training_does_not_decide_alone() -> None:
    rng = np.random.default_rng(4)
    seen = np.column_stack([rng.normal(size=(30, 6)), np.zeros(30)])
    gaussian = ShrunkGaussian.of(seen)
    assert gaussian.scale[-1] == pytest.approx(0.1 * np.median(gaussian.scale[:-1]))
    with pytest.raises(ValueError, match="expected at least 2 samples that differ"):
        ShrunkGaussian.of(np.ones((5, 3)))


@pytest.mark.parametrize(("studies", "rank"), [(3, 3), (18, 18), (19, 19), (38, 38), (39, 38), (99, 95), (199, 190)])
def test_limit_keeps_the_rate_for_new_studies_where_there_are_enough(studies: int, rank: int) -> None:
    assert limit_rank(studies, 0.05) == rank
    scores = np.random.default_rng(5).permutation(studies)
    assert np.mean(scores > choose_limit(scores.tolist(), 0.05)) <= 0.05
    assert studies < 19 or 1 - rank / (studies + 1) <= 0.05 + 1e-9


@pytest.mark.parametrize("chunk", [2, 5])
@pytest.mark.parametrize("evidence", [True, False])
def test_features_are_means_over_the_brain_of_all_slices(chunk: int, evidence: bool) -> None:
    network, bag = make_network(), torch.randn(1, 5, 1, 64, 64, generator=torch.Generator().manual_seed(6))
    bag[0, :2, :, 20:], bag[0, 2] = 0, 0  # two with little brain, one with none
    inferer = EvidenceInferer(chunk) if evidence else PatientPoolingInferer(slices_per_chunk=chunk)
    features = LayerFeatures(["layer1", "layer4"])
    features.attach(network)
    with torch.no_grad():
        inferer(bag, network)
        found = features.take()
        features.detach()
        network(bag[0])
        expected = {"layer1": network.activations(bag[0], 2), "layer4": network._pass(bag[0], 0, 5)}
    assert features.take() is None  # detached, and what was taken is gone
    assert found is not None
    for name, output in expected.items():
        side = 64 // output.shape[-1]  # a position stands for a square of so many pixels
        share = (bag[0] != 0).double().unfold(2, side, side).unfold(3, side, side).mean(dim=(4, 5))
        mean = [float((channel * share[:, 0]).sum() / share.sum()) for channel in output.double().unbind(dim=1)]
        np.testing.assert_allclose(found[name], mean, rtol=1e-5, atol=1e-7)
    with pytest.raises(RefusedError, match="^unknown_layer: feature_layers: expected .*, got layer9"):
        LayerFeatures(["layer9"]).attach(network)


def rows_in(folder: Path) -> list[Row]:
    return [read_row(entry) for entry in newest_rows(folder).values()]


def fit(bundle: Path, places: dict[str, object], **changes: object) -> None:
    """The run `fitting` in this process, past `guard_run` and `require_data`."""
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in ("train", "outside")])
    parser.update({**places, "bundle_root": str(bundle), "cache_dir": "", "num_workers": 0, "device": "cpu"})
    parser.update(changes)
    parser.get_parsed_content("run::2")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Five CT studies of a few slices, the first half dark and half bright, and statistics of the other four."""
    folder = write_place(tmp_path_factory.mktemp("place"))
    studies = [file.name for file in sorted((folder / "in").iterdir())]
    for index, name in enumerate(studies):
        head = make_head(index, matrix=64)
        added = 20 * np.sign(np.arange(64) - 32) * (np.abs(head.hu) < 100) * (index == 0)
        voxels = (head.hu + added).astype(np.int16)[11:15].transpose(2, 1, 0)
        nib.save(nib.Nifti1Image(voxels, head.affine), folder / "in" / name)
    folds = {"training": studies[1:4], "validation": studies[4:], "test": ["gone.nii.gz"]}
    listed = {fold: [{"image": name, "label": 0} for name in names] for fold, names in folds.items()}
    (folder / "folds.json").write_text(json.dumps(listed))
    places = {"dataset_dir": str(folder / "in"), "data_list": str(folder / "folds.json"), "models_dir": str(folder)}
    changes = {**{name: value for name, value in TINY.items() if name != "draw_slices"}, "widths": [4, 4, 8, 8]}
    fit(CT, places, **changes)
    return {"folder": folder, "studies": studies, "places": places, "changes": changes}


def infer(place: dict[str, Any], output: Path, statistics: Path, **changes: object) -> StudyEvaluator:
    folder, names = place["folder"], place["studies"]
    evaluator = build(folder, [{"image": name} for name in names], output_dir=str(output),
                      feature_statistics=str(statistics), **changes)  # fmt: skip
    evaluator.run()
    return evaluator


@pytest.fixture(scope="module")
def results(place: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in ("checked", "unchecked")}
    evaluator = infer(place, folders["checked"], place["folder"] / FILE)
    assert all(not module._forward_hooks for module in evaluator.network.modules())
    infer(place, folders["unchecked"], place["folder"] / "none")
    return folders


def record(folder: Path, study: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{study.removesuffix('.nii.gz')}.json").read_text())
    return found


def test_study_far_outside_gets_a_probability_and_no_decision(place: dict[str, Any], results: dict[str, Path]) -> None:
    halved, *usual = (record(results["checked"], study) for study in place["studies"])
    assert halved["outside_score"] > 1.5 * halved["outside_limit"]
    assert (halved["outside"], halved["decision"]) == ("yes", f"none: {OUTSIDE}")
    assert halved["notes"].endswith(OUTSIDE)
    assert 0 < halved["patient_probability"] < 1
    assert {(one["outside"], one["decision"]) for one in usual} == {("no", "none: no operating point")}
    assert usual[-1]["outside_score"] == pytest.approx(usual[-1]["outside_limit"])  # the one of validation


def test_without_statistics_nothing_changes_but_that_the_record_says_so(
    place: dict[str, Any], results: dict[str, Path]
) -> None:
    added = {"outside", "outside_score", "outside_limit"}
    changed = {"decision", "notes", *added}
    for study in place["studies"]:
        checked, unchecked = (record(results[name], study) for name in ("checked", "unchecked"))
        assert {name: unchecked[name] for name in added} == {
            "outside": "not checked", "outside_score": None, "outside_limit": None}  # fmt: skip
        assert unchecked["decision"] == "none: no operating point"
        assert all(checked[name] == unchecked[name] for name in unchecked.keys() - changed)
        mask = f"{study.removesuffix('.nii.gz')}_region.nii.gz"
        assert (results["checked"] / mask).read_bytes() == (results["unchecked"] / mask).read_bytes()
    header = {name: (folder / "predictions.csv").read_text().splitlines()[0] for name, folder in results.items()}
    assert header["checked"].replace(",outside_score,outside_limit", "") == header["unchecked"]


def test_study_whose_pass_breaks_off_leaves_nothing_to_the_next(
    place: dict[str, Any], results: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    layer4 = SliceClassifier._pass

    def fail_at_first(self: SliceClassifier, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        passes.append(len(x))
        if len(passes) == 1:
            layer4(self, x, 0, 3)
            raise RuntimeError("the device is gone")
        return layer4(self, x, first, last)

    monkeypatch.setattr(SliceClassifier, "_pass", fail_at_first)
    with pytest.raises(SomeRefusedError, match="4 ok, 0 refused, 1 failed"):
        infer(place, tmp_path, place["folder"] / FILE)
    scores = [[record(folder, study)["outside_score"] for study in place["studies"][1:]]
              for folder in (tmp_path, results["checked"])]  # fmt: skip
    assert scores[0] == scores[1]


def test_samples_of_a_network_are_not_checked(place: dict[str, Any], tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config([str(CT / "configs" / f"{name}.json") for name in ("inference", "uncertainty")])
    parser.update({**place["places"], "device": "cpu", "widths": [4, 4, 8, 8], "output_dir": str(tmp_path)})
    evaluator = parser.get_parsed_content("evaluator")
    handler = OutsideScoreHandler(place["folder"] / FILE, place["folder"] / "model.pt")
    handler.start(evaluator)
    assert handler.statistics is None
    evaluator.inferer = EvidenceInferer()
    handler.start(evaluator)
    assert handler.statistics is not None
    handler.stop()


def test_evaluation_keeps_the_score_of_each_patient() -> None:
    metric = PatientScores()
    metric.update({"case": "c1", "label": 1, "pred": 0.9, "outside_score": torch.tensor(0.5)})
    metric.update({"case": "c2", "label": 0, "pred": 0.1})
    assert metric.rows == [
        {"case": "c1", "label": 1, "prob": 0.9, "outside": 0.5},
        {"case": "c2", "label": 0, "prob": 0.1},
    ]


def test_fit_sees_nothing_of_the_test_fold(place: dict[str, Any], tmp_path: Path) -> None:
    listed = json.loads(Path(place["places"]["data_list"]).read_text())
    (tmp_path / "folds.json").write_text(json.dumps({**listed, "test": listed["validation"]}))
    places = {**place["places"], "data_list": str(tmp_path / "folds.json")}
    again = tmp_path / FILE
    fit(CT, places, **place["changes"], feature_statistics=str(again))
    assert again.read_bytes() == (place["folder"] / FILE).read_bytes()
    with pytest.raises(RuntimeError) as caught:
        fit(CT, places, **place["changes"], **{"validate::fold": "test", "feature_statistics": str(tmp_path / "no")})
    assert "limit_from_test: no: expected a choice on validation, got test" in str(caught.value.__cause__)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"weights_sha256": "0" * 64}, "statistics_of_other_weights"),
        ({"split": "test"}, "limit_from_test"),
        ({"settings": {"image_size": 64}}, "statistics_of_other_settings"),
        ({"colour": "red"}, "damaged_statistics"),
        ("cut", "damaged_statistics"),
    ],
)
def test_statistics_of_doubtful_origin_are_refused(
    place: dict[str, Any], tmp_path: Path, change: dict[str, Any] | str, code: str
) -> None:
    weights, file = place["folder"] / "model.pt", tmp_path / FILE
    statistics = read_feature_statistics(place["folder"] / FILE, weights, {"image_size": 32})
    if isinstance(change, str):
        file.write_bytes((place["folder"] / FILE).read_bytes()[:200])
    else:
        changed: Callable[..., FeatureStatistics] = type("Other", (), {"write": FeatureStatistics.write})
        other = changed()
        vars(other).update({**{f.name: getattr(statistics, f.name) for f in dataclasses.fields(statistics)}, **change})
        other.write(file)
    with pytest.raises(RefusedError, match=f"^{code}: {FILE}: expected"):
        read_feature_statistics(file, weights, {"image_size": 32})


def test_mask_is_written_and_its_row_says_that_the_scan_is_outside(phantoms: Path, tmp_path: Path) -> None:
    write_mri_weights(tmp_path / "model.pt")
    places = {"dataset_dir": str(phantoms), "data_list": str(phantoms / "data_list.json"), "models_dir": str(tmp_path)}
    changes = {"channels": MRI_CHANNELS, "device": "cpu", "num_workers": 0, "bundle_root": str(BRATS)}
    fit(BRATS, places, **changes)
    listed = json.loads((phantoms / "data_list.json").read_text())["training"][:1]
    exchanged = [{**item, "case": "exchanged", "image": [item["image"][i] for i in (3, 2, 1, 0)]} for item in listed]
    (tmp_path / "data_list.json").write_text(json.dumps({"test": [*listed, *exchanged]}))
    masks = {}
    for name, statistics in (("checked", tmp_path / FILE), ("unchecked", tmp_path / "none")):
        parser = ConfigParser()
        parser.read_config(str(BRATS / "configs" / "inference.json"))
        parser.update({**places, **changes, "data_list": str(tmp_path / "data_list.json")})
        parser.update({"output_dir": str(tmp_path / name), "feature_statistics": str(statistics)})
        parser.get_parsed_content("evaluator").run()
        masks[name] = {file.name: file.read_bytes() for file in (tmp_path / name).glob("*.nii.gz")}
    assert masks["checked"] == masks["unchecked"]
    assert len(masks["checked"]) == 2
    rows = {row["case"]: row["table"] for row in rows_in(tmp_path / "checked")}
    assert rows["exchanged"]["notes"] == OUTSIDE
    assert rows["exchanged"]["outside_score"] > rows["exchanged"]["outside_limit"]
    assert {row["notes"] for case, row in rows.items() if case != "exchanged"} == {""}
    assert [row["table"] for row in rows_in(tmp_path / "unchecked")] == [{}, {}]
