"""Dropout that is drawn once and used again."""

from __future__ import annotations

import torch

from custom_transforms.dropout_masks import DropoutMasks

ITEMS = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))


def make_network() -> torch.nn.Sequential:
    torch.manual_seed(2)
    layers = (torch.nn.Dropout(0.4), torch.nn.Linear(16, 8), torch.nn.Dropout(0.2))
    return torch.nn.Sequential(*layers).train()


def test_recorded_pass_is_that_without_recording() -> None:
    network, found = make_network(), []
    for masks in (None, DropoutMasks(network)):
        torch.manual_seed(3)
        if masks is None:
            found.append(torch.cat([network(chunk) for chunk in ITEMS.split(3)]))
        else:
            with masks.recorded():
                found.append(torch.cat([network(chunk) for chunk in ITEMS.split(3)]))
        found.append(torch.rand(1))
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])


def test_chosen_items_are_as_they_were_and_nothing_is_drawn() -> None:
    network, chosen = make_network(), torch.tensor([5, 0])
    masks = DropoutMasks(network)
    with masks.recorded():
        whole = torch.cat([network(chunk) for chunk in ITEMS.split(3)])
    state = torch.get_rng_state()
    with masks.replayed(chosen):
        torch.testing.assert_close(network(ITEMS[chosen]), whole[chosen])
    assert torch.equal(torch.get_rng_state(), state)
    assert network[0].training
    assert not network[0]._forward_hooks


def test_layers_in_eval_mode_stay_out_of_it() -> None:
    network = make_network().eval()
    with DropoutMasks(network).recorded():
        assert torch.equal(network(ITEMS), network[1](ITEMS))
    assert not network[0].training
