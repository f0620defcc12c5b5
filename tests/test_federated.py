"""MONAI's federated client runs both bundles as they are: what it is given, what it learns and what it gives back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BRATS, CT
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.fl.client import MonaiAlgo, MonaiAlgoStats
from monai.fl.utils.constants import ExtraItems, FlStatistics, ModelType, WeightType
from monai.fl.utils.exchange_object import ExchangeObject
from small_trainer import Scores, line, trainer_with
from tiny_studies import write_studies

from custom_transforms.best_model import BestModelHandler
from custom_transforms.refusal import RefusedError
from custom_transforms.training_checkpoint import TrainingCheckpointHandler

Weights = dict[str, torch.Tensor]
Cases = tuple[Path, Path, list[Any]]
SMALL: dict[Path, dict[str, Any]] = {
    BRATS: {"channels": [4, 8, 8, 8, 8], "slices_per_patient": 2, "batch_size": 2, "slice_size": [48, 48]},
    CT: {
        "widths": [4, 4, 8, 8],
        "image_size": 32,
        "slices_per_bag": 2,
        "steps::check_head::_disabled_": True,
        "stages": [{"first_epoch": 0, "layers": ["fc"]}, {"first_epoch": 1, "layers": ["fc", "layer4"]}],
    },
}
KEY_METRIC = {BRATS: "mean_dice", CT: "auc"}


@pytest.fixture(scope="module", params=[BRATS, CT], ids=lambda bundle: bundle.name)
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """A bundle, the folder of its data, and four cases; of the classifier's, every second is positive."""
    if request.param == BRATS:
        folder = request.getfixturevalue("phantoms")
        folds = json.loads((folder / "data_list.json").read_text())
        return BRATS, folder, [*folds["training"], *folds["validation"]]
    folder = tmp_path_factory.mktemp("tiny") / "heads"
    names = write_studies(folder, 4)
    return CT, folder, [{"case": n, "image": f"{n}.nii.gz", "label": i % 2} for i, n in enumerate(names)]


def join(bundle: Path, data: Path, folder: Path, training: Sequence[Any], validation: Sequence[Any] = ()) -> MonaiAlgo:
    """A site with a folder of its own that trains one epoch a round."""
    folder.mkdir()
    (folder / "data_list.json").write_text(json.dumps({"training": training, "validation": validation}))
    places = {"dataset_dir": data, "data_list": folder / "data_list.json", "output_dir": folder / "eval",
              "cache_dir": folder / "prepared", "models_dir": folder / "models"}  # fmt: skip
    knobs = {**SMALL[bundle], "num_workers": 0, "device": "cpu", **{name: str(it) for name, it in places.items()}}
    models = {"best_model_filepath": "model.pt", "final_model_filepath": "training.pt"}
    models = {kind: str(folder / "models" / name) for kind, name in models.items()}
    kwargs = {"train_kwargs": dict(knobs), "eval_kwargs": dict(knobs), **models}
    site = MonaiAlgo(str(bundle), config_evaluate_filename="configs/train.json", **kwargs)
    site.initialize({ExtraItems.CLIENT_NAME: folder.name})
    return site


def copied(network: torch.nn.Module) -> Weights:
    return {name: weight.clone() for name, weight in network.state_dict().items()}


def of_server(site: MonaiAlgo) -> Weights:
    """Weights that no site drew."""
    torch.manual_seed(7)
    own = copied(site.trainer.network)
    return {name: it + torch.rand_like(it) / 100 if it.is_floating_point() else it for name, it in own.items()}


def train_round(site: MonaiAlgo, weights: Weights) -> tuple[Weights, Weights]:
    """Train, and give the weights before the first step and the difference that the server gets."""
    before: list[Weights] = []
    noting = site.trainer.add_event_handler(Events.ITERATION_STARTED, lambda e: before.append(copied(e.network)))
    site.train(ExchangeObject(weights=weights))
    noting.remove()
    sent = site.get_weights()
    assert sent.weight_type == WeightType.WEIGHT_DIFF
    assert sent.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS] == len(before)
    return before[0], {name: weight.clone() for name, weight in sent.weights.items()}


def averaged(weights: Weights, differences: Sequence[Weights]) -> Weights:
    return {
        name: (it + sum(each[name] for each in differences) / len(differences)).to(it.dtype)
        for name, it in weights.items()
    }


def test_two_sites_train_two_rounds(cases: Cases, tmp_path: Path) -> None:
    bundle, data, items = cases
    sites = [
        join(bundle, data, tmp_path / f"site-{i}", items[2 * i : 2 * i + 2], items[2 - 2 * i :][:2]) for i in (0, 1)
    ]
    weights = of_server(sites[0])
    for number in (1, 2):
        differences = []
        for site in sites:
            assert math.isfinite(site.evaluate(ExchangeObject(weights=weights)).metrics[KEY_METRIC[bundle]])
            before, difference = train_round(site, weights)
            after = copied(site.trainer.network)
            assert site.trainer.state.epoch == number  # counted on over rounds, and stages with it
            assert getattr(site.trainer.state, "stage", number) == number
            assert all(torch.equal(before[name], weights[name]) for name in weights)  # and no pretrained ones
            assert all(torch.equal(difference[name], after[name] - weights[name]) for name in weights)
            assert any(change.any() for change in difference.values())
            assert not any(name.startswith("module.") for name in difference)
            differences.append(difference)
        weights = averaged(weights, differences)
    for site in sites:
        for kind in ModelType:
            assert site.get_weights({ExtraItems.MODEL_TYPE: kind}).weights.keys() == weights.keys()
        site.finalize()
    history = (tmp_path / "site-1/eval/history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in history[1:]] == ["1", "2"]


def test_site_without_data_is_refused(cases: Cases, tmp_path: Path) -> None:
    bundle, data, _ = cases
    site = join(bundle, data, tmp_path / "site", [])
    with pytest.raises(RefusedError, match="empty_data_set: data_list.json: expected at least 1 patient"):
        site.train(ExchangeObject(weights=of_server(site)))


def test_aborted_round_ends_after_its_step(cases: Cases, tmp_path: Path) -> None:
    bundle, data, items = cases
    site = join(bundle, data, tmp_path / "site", items, items)
    site.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: site.abort())
    site.train(ExchangeObject(weights=of_server(site)))
    assert site.trainer.state.iteration == 1
    site.finalize()


def test_site_tells_the_statistics_of_its_images(phantoms: Path, tmp_path: Path) -> None:
    config = str(BRATS / "configs/train.json")
    workflow = ConfigWorkflow(config, workflow_type="train", logging_file=False, dataset_dir=str(phantoms))
    site = MonaiAlgoStats(str(BRATS), workflow=workflow)
    site.initialize({ExtraItems.APP_ROOT: str(tmp_path)})
    wanted = {FlStatistics.HIST_BINS: [4] * 4, FlStatistics.HIST_RANGE: [[0, 1000]] * 4}
    told = site.get_data_stats(wanted).statistics
    counts = {fold: (part[FlStatistics.DATA_COUNT], part[FlStatistics.FAIL_COUNT]) for fold, part in told.items()}
    assert counts == {"train": (3, 0), "eval": (1, 0), FlStatistics.TOTAL_DATA: (4, 0)}


def rounds_of(trainer: Any, *, rounds: int, local_epochs: int) -> list[int]:
    """Run as the federated client does, and give the last epoch of each round."""
    last = []
    for _ in range(rounds):
        trainer.state.max_epochs = trainer.state.epoch + local_epochs
        trainer.run()
        last.append(trainer.state.epoch)
    return last


def test_each_round_has_its_epochs_whatever_earlier_ones_brought(tmp_path: Path) -> None:
    network, evaluator = line(), Scores([0.9] + [0.1] * 7)
    keep = BestModelHandler(evaluator, network, tmp_path / "model.pt", patience=3)  # type: ignore[arg-type]
    trainer = trainer_with(network, evaluator, keep)
    assert rounds_of(trainer, rounds=4, local_epochs=2) == [2, 4, 6, 8]
    assert trainer.state.best_score_epoch == 1


def test_later_round_takes_nothing_from_a_checkpoint(tmp_path: Path) -> None:
    network = line()
    checkpoints = TrainingCheckpointHandler(tmp_path / "training.pt", {"network": network}, resume="auto")
    trainer = trainer_with(network, checkpoints)
    assert rounds_of(trainer, rounds=1, local_epochs=2) == [2]
    network.load_state_dict({"weight": torch.tensor([[7.0]]), "bias": torch.tensor([3.0])})
    seen: list[float] = []
    trainer.add_event_handler(Events.EPOCH_STARTED(once=3), lambda: seen.append(network.weight.item()))
    assert rounds_of(trainer, rounds=1, local_epochs=2) == [4]
    assert seen == [7]
