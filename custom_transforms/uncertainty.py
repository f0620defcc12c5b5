"""How sure a segmentation is: mean probability, predictive entropy and mutual information of samples."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from contextlib import closing
from typing import Any

import torch
from monai.inferers import Inferer
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from custom_transforms.sampling_inferer import Network, SamplingInferer


class UncertaintyInferer(Inferer):
    """Sum samples of a segmenter up as they come, so that memory does not grow with their number.

    Args:
        inferer: gives samples of logits, one channel a region.
    """

    def __init__(self, inferer: SamplingInferer) -> None:
        super().__init__()
        self.inferer = inferer

    def __call__(self, inputs: torch.Tensor, network: Network, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return means over samples for logits `(B, R, …)`: `(B, 2R, …)`, probabilities 0..1, then entropies in bits.

        The second R are the mean of each sample's entropy, not the entropy of the mean; see `UncertaintyMapsd`.
        """
        sums, count = torch.empty(0), 0
        with closing(self.inferer.samples(inputs, network, *args, **kwargs)) as samples:
            for count, logits in enumerate(samples, start=1):
                regions = logits.shape[1]
                if count == 1:
                    sums = logits.new_zeros(logits.shape[0], 2 * regions, *logits.shape[2:])
                for region in range(regions):  # one at a time: what is worked out in between is as small as that
                    prob = logits[:, region].sigmoid()
                    sums[:, region] += prob
                    sums[:, regions + region] += binary_entropy_bits(prob, (-logits[:, region]).sigmoid())
        return sums.div_(count)


class UncertaintyMapsd(MapTransform):
    """Turn what `UncertaintyInferer` gives for one patient into maps.

    All are binary, region by region, and 0..1 in bits: an entropy of 1 is a coin toss. The predictive entropy is that
    of the mean probability; the mutual information (BALD) is the part of it that comes from samples that disagree. The
    rest is what each sample is unsure of by itself.

    Args:
        keys: `(2R, X, Y, Z)`.

    Returns:
        the item with, under each key, the mean probability `(R, X, Y, Z)`, which is also `probability`; and `entropy`
        and `mutual_information`, `(R, X, Y, Z)`.

    Reference:
        Houlsby et al., Bayesian Active Learning for Classification and Preference Learning, 2011, equation 2.
        Gal, Islam and Ghahramani, Deep Bayesian Active Learning with Image Data, ICML 2017.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Work out the maps."""
        item = dict(data)
        for key in self.key_iterator(item):
            # MONAI's `Invertd` passes over plain tensors
            maps: torch.Tensor = convert_to_tensor(item[key], track_meta=True)
            prob, expected_entropy = maps.chunk(2)
            entropy = binary_entropy_bits(prob, 1 - prob)
            item["entropy"] = entropy
            item["mutual_information"] = (entropy - expected_entropy).clamp(min=0)  # below 0 by rounding alone
            item[key] = item["probability"] = prob
        return item


def binary_entropy_bits(prob: torch.Tensor, opposite: torch.Tensor) -> torch.Tensor:
    """Entropy of yes and no, 0..1 bits.

    Args:
        prob: of yes, 0..1.
        opposite: of no, `1 - prob`, which is exact near 0 only if it is worked out by itself.
    """
    nats: torch.Tensor = torch.special.entr(prob) + torch.special.entr(opposite)
    return nats / math.log(2)
