"""Samples by dropout, flips and ensembles: what varies, what must not, and what the network is afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.inferers import Inferer, SimpleInferer, SliceInferer
from monai.networks.nets import AttentionUnet
from small_weights import make_network
from torch import nn

from custom_transforms.backend import BackendInferer
from custom_transforms.dropout_inferer import DropoutInferer, thinned
from custom_transforms.ensemble_inferer import EnsembleInferer
from custom_transforms.exported_network import ExportedNetwork
from custom_transforms.flip_inferer import FlipInferer
from custom_transforms.patient_pooling import EvidenceInferer, PatientPoolingInferer
from custom_transforms.refusal import RefusedError
from custom_transforms.sampled import sampled, sampling_settings

SLICES = SliceInferer(spatial_dim=2, roi_size=[-1, -1], sw_batch_size=2)
VOLUME = torch.randn(1, 4, 16, 16, 5, generator=torch.Generator().manual_seed(1))
BAG = torch.randn(1, 5, 1, 64, 64, generator=torch.Generator().manual_seed(2))


@pytest.fixture(autouse=True)
def _without_gradients() -> Any:
    with torch.no_grad():
        yield


def make_unet(dropout: float = 0.3, seed: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    return AttentionUnet(2, 4, 2, (4, 8), (2,), dropout=dropout).eval()


def write(folder: Path, *seeds: int, make: Callable[..., nn.Module] = make_unet) -> list[Path]:
    for seed in seeds:
        torch.save(make(seed=seed).state_dict(), folder / f"{seed}.pt")
    return [folder / f"{seed}.pt" for seed in seeds]


def test_dropout_varies_and_comes_again_whatever_was_before_and_in_whatever_chunks() -> None:
    network, inferer = make_unet(), DropoutInferer(SLICES, 3)
    first = inferer(VOLUME, network)
    assert first.shape == (1, 3, 2, 16, 16, 5)
    assert len({float(sample.sum()) for sample in first[0]}) == 3
    torch.manual_seed(99)
    inferer(torch.randn(1, 4, 32, 16, 2), network)  # another case comes between
    assert torch.equal(inferer(VOLUME, network), first)
    other_chunks = DropoutInferer(SliceInferer(spatial_dim=2, roi_size=[-1, -1], sw_batch_size=5), 3)
    torch.testing.assert_close(other_chunks(VOLUME, network), first)
    assert not torch.equal(DropoutInferer(SLICES, 3, seed=89)(VOLUME, network), first)


def test_dropout_leaves_the_random_state_of_the_program_alone() -> None:
    network, state = make_unet(), torch.get_rng_state()
    DropoutInferer(SLICES, 2)(VOLUME, network)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sample_is_one_thinned_network() -> None:
    """The same units of every item are gone, those left weigh 1 / (1 - p), and layers and samples drop others."""
    layers = [nn.Dropout(0.25).eval(), nn.Dropout(0.25).eval()]
    ones = torch.ones(3, 4000)
    with thinned(layers, [88, 0]):
        first, second = (layer(ones) for layer in layers)
    assert torch.equal(first[0], first[2])
    assert first.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float((first > 0).float().mean()) == pytest.approx(0.75, abs=0.02)
    assert float(((first > 0) == (second > 0)).float().mean()) == pytest.approx(0.75**2 + 0.25**2, abs=0.03)
    with thinned(layers, [88, 1]):
        assert not torch.equal(layers[0](ones), first)
    assert torch.equal(layers[0](ones), ones)


def test_mean_of_dropout_samples_is_the_layer_without() -> None:
    layer, given = nn.Dropout(0.4).eval(), torch.linspace(-2, 2, 50)[None]
    total = torch.zeros_like(given)
    for number in range(4000):
        with thinned([layer], [88, number]):
            total += layer(given)
    torch.testing.assert_close(total / 4000, given, atol=0.1, rtol=0)


def test_dropout_0_is_the_plain_result() -> None:
    network = make_unet()
    layers = [part for part in network.modules() if isinstance(part, nn.Dropout)]
    for layer in layers:
        layer.p = 0.0
    with thinned(layers, [88, 0]):
        assert torch.equal(SLICES(VOLUME, network), SLICES(VOLUME, network.eval()))


def test_flip_of_a_symmetric_input_gives_a_mirrored_result() -> None:
    network = make_unet()
    symmetric = VOLUME + VOLUME.flip(2)
    plain, mirrored = FlipInferer(SLICES, 2)(symmetric, network)[0]
    assert torch.equal(mirrored, plain.flip(1))
    plain, mirrored = FlipInferer(PatientPoolingInferer(), -1)(BAG + BAG.flip(-1), make_network())[0]
    assert torch.equal(mirrored, plain)


def test_flip_brings_the_result_back_to_where_it_belongs() -> None:
    """A network without a neighbourhood gives the same for a pixel wherever it lies."""
    network = nn.Conv2d(4, 2, 1)
    plain, mirrored = FlipInferer(SLICES, 2)(VOLUME, network)[0]
    torch.testing.assert_close(mirrored, plain)


def test_ensemble_is_its_members_and_twice_one_is_that_one(tmp_path: Path) -> None:
    network, paths = make_unet(seed=4), write(tmp_path, 5, 6, 5)
    found = EnsembleInferer(SLICES, paths)(VOLUME, network)[0]
    for sample, seed in zip(found, (5, 6, 5), strict=True):
        assert torch.equal(sample, SLICES(VOLUME, make_unet(seed=seed))[0])
    assert torch.equal(found[0], found[2])


def test_members_differ_under_autocast_too(tmp_path: Path) -> None:
    """Autocast keeps what it has cast of a weight, and does not see that another was copied into it."""
    network, paths = make_unet(), write(tmp_path, 5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = EnsembleInferer(SLICES, paths)(VOLUME, network)[0]
        expected = [SLICES(VOLUME, make_unet(seed=seed))[0].float() for seed in (5, 6)]
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_member_of_another_network_is_refused_and_the_network_keeps_its_weights(tmp_path: Path) -> None:
    network, paths = make_unet(), write(tmp_path, 5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.save(make_network().state_dict(), tmp_path / "other.pt")
    for last, code in (("other.pt", "checkpoint_mismatch: other.pt"), ("none.pt", "missing_checkpoint: none.pt")):
        with pytest.raises(RefusedError, match=code):
            EnsembleInferer(SLICES, [*paths, tmp_path / last])(VOLUME, network)
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_member_that_was_trained_anew_is_read_anew(tmp_path: Path) -> None:
    [path], network = write(tmp_path, 5), make_unet()
    EnsembleInferer(SLICES, [path])(VOLUME, network)
    write(tmp_path, 6)[0].replace(path)
    assert torch.equal(EnsembleInferer(SLICES, [path])(VOLUME, network)[0, 0], SLICES(VOLUME, make_unet(seed=6))[0])


class Failing(Inferer):
    """Fails at its second call."""

    calls = 0

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.calls += 1
        if self.calls == 2:
            raise MemoryError
        output: torch.Tensor = network(inputs)
        return output


@pytest.mark.parametrize("kind", ["dropout", "flips", "ensemble"])
@pytest.mark.parametrize("training", [True, False])
def test_modes_weights_and_statistics_are_as_before_also_after_an_error(
    kind: str, training: bool, tmp_path: Path
) -> None:
    """Some programs call an inferer with the network in training mode; a part may be frozen in another."""
    network = make_unet().train(training)
    next(part for part in network.modules() if isinstance(part, nn.BatchNorm2d)).train(not training)
    modes = [part.training for part in network.modules()]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    checkpoints = write(tmp_path, 5, 6) if kind == "ensemble" else []
    image = VOLUME[..., 0]
    expected = sampled(SimpleInferer(), kind, left_right=2, checkpoints=checkpoints)(image, make_unet())
    assert torch.equal(sampled(SimpleInferer(), kind, left_right=2, checkpoints=checkpoints)(image, network), expected)
    with pytest.raises(MemoryError):
        sampled(Failing(), kind, left_right=2, checkpoints=checkpoints)(image, network)
    assert [part.training for part in network.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(part._forward_hooks for part in network.modules())


def test_kinds_multiply(tmp_path: Path) -> None:
    paths, network = write(tmp_path, 5, 6), make_unet()
    options = {"left_right": 2, "samples": 3, "checkpoints": paths}
    found = sampled(SLICES, ["flips", "ensemble", "dropout"], **options)(VOLUME, network)[0]
    assert len(found) == 2 * 2 * 3
    alone = DropoutInferer(SLICES, 3)(VOLUME, make_unet(seed=6))[0]
    assert torch.equal(found[6:9], alone)


def test_patient_gets_the_probability_of_evaluation_from_samples_too() -> None:
    """Inference looks at maps, evaluation at logits; both must draw the same."""
    network = make_network()
    logits = sampled(PatientPoolingInferer(), ["dropout", "flips"], left_right=-1, samples=3)(BAG, network)
    maps = sampled(EvidenceInferer(2), ["dropout", "flips"], left_right=-1, samples=3)(BAG, network)
    outputs = maps[0, :, :, 1, 0, 0]
    torch.testing.assert_close(outputs.amax(1), logits[0, :, 0])
    assert len(set(logits.flatten().tolist())) == 6


def test_torch_backend_runs_samples_on_plain_tensors() -> None:
    network, inferer = make_unet(), DropoutInferer(SLICES, 2)
    assert torch.equal(BackendInferer(inferer)(VOLUME, network), inferer(VOLUME, network))


def test_exported_network_can_be_flipped_and_has_neither_dropout_nor_other_weights(tmp_path: Path) -> None:
    network = make_unet()
    exported = ExportedNetwork(lambda _, slices: network(torch.from_numpy(slices)).numpy(), {})
    torch.testing.assert_close(FlipInferer(SLICES, 2)(VOLUME, exported), FlipInferer(SLICES, 2)(VOLUME, network))
    with pytest.raises(RefusedError, match="no_dropout: uncertainty: expected backend torch and a network"):
        DropoutInferer(SLICES)(VOLUME, exported)
    with pytest.raises(RefusedError, match="backend_ensemble: uncertainty: expected backend torch"):
        EnsembleInferer(SLICES, write(tmp_path, 5))(VOLUME, exported)


def test_network_without_dropout_is_refused_rather_than_called_sure() -> None:
    with pytest.raises(RefusedError, match="no_dropout"):
        DropoutInferer(SLICES)(VOLUME, make_unet(dropout=0.0))


@pytest.mark.parametrize(
    ("uncertainty", "options", "code"),
    [
        ("droput", {}, "unknown_uncertainty"),
        ([], {}, "unknown_uncertainty"),
        ("dropout", {"samples": 1}, "too_few_samples"),
        ("ensemble", {}, "wrong_checkpoints"),
        ("ensemble", {"checkpoints": ["a.pt"]}, "wrong_checkpoints"),
        ("flips", {"checkpoints": ["a.pt", "b.pt"]}, "wrong_checkpoints"),
    ],
)
def test_wrong_knobs_are_refused(uncertainty: Any, options: Any, code: str) -> None:
    with pytest.raises(RefusedError, match=f"^{code}: "):
        sampled(SLICES, uncertainty, left_right=2, **options)
    with pytest.raises(RefusedError, match=f"^{code}: "):
        sampling_settings(uncertainty, **options)


def test_settings_tell_one_way_of_sampling_from_another(tmp_path: Path) -> None:
    paths = write(tmp_path, 5, 6)
    ensemble = sampling_settings("ensemble", checkpoints=paths)
    write(tmp_path, 7)[0].replace(paths[1])
    assert sampling_settings("ensemble", checkpoints=paths) != ensemble
    assert sampling_settings(["flips"]) == sampling_settings("flips") == {"uncertainty": ["flips"]}
    assert sampling_settings("dropout") == {"uncertainty": ["dropout"], "samples": 20, "seed": 88}
    with pytest.raises(RefusedError, match="missing_checkpoint: none.pt"):
        sampling_settings("ensemble", checkpoints=[paths[0], tmp_path / "none.pt"])
