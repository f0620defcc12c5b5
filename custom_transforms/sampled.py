"""The choice of where samples come from: dropout, flips, an ensemble, or several of them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from monai.inferers import Inferer

from custom_transforms.dropout_inferer import DropoutInferer
from custom_transforms.ensemble_inferer import EnsembleInferer
from custom_transforms.file_hash import file_sha256
from custom_transforms.flip_inferer import FlipInferer
from custom_transforms.refusal import RefusedError
from custom_transforms.sampling_inferer import SamplingInferer

KINDS = ("dropout", "flips", "ensemble")


def sampled(
    inferer: Inferer,
    uncertainty: str | Sequence[str],
    *,
    left_right: int,
    samples: int = 20,
    seed: int = 88,
    checkpoints: Sequence[str | Path] = (),
) -> SamplingInferer:
    """Make an inferer give samples.

    Args:
        inferer: what runs the network once.
        uncertainty: `dropout`, `flips` or `ensemble`, or several, of which each sample of one meets each of the others.
        left_right: axis of the inputs along which flips mirror.
        samples: of dropout.
        seed: of dropout.
        checkpoints: of the ensemble.

    Raises:
        RefusedError: an unknown word, one sample alone, an ensemble of fewer than two, or checkpoints without ensemble.
    """
    made, kinds = inferer, _kinds(uncertainty, samples, checkpoints)  # of which there is at least one
    if "dropout" in kinds:
        made = DropoutInferer(made, samples, seed=seed)
    if "flips" in kinds:
        made = FlipInferer(made, left_right)
    if "ensemble" in kinds:
        made = EnsembleInferer(made, checkpoints)
    return cast(SamplingInferer, made)


def sampling_settings(
    uncertainty: str | Sequence[str], *, samples: int = 20, seed: int = 88, checkpoints: Sequence[str | Path] = ()
) -> dict[str, Any]:
    """Describe the samples in plain values, for what belongs to one way of sampling, such as a threshold.

    Args:
        uncertainty: see `sampled`.
        samples: see `sampled`.
        seed: see `sampled`.
        checkpoints: see `sampled`.

    Returns:
        `uncertainty`, a list; with dropout `samples` and `seed`; with an ensemble `checkpoints`, the files' sha256.

    Raises:
        RefusedError: what `sampled` refuses, or a checkpoint that is missing.
    """
    kinds = _kinds(uncertainty, samples, checkpoints)
    settings: dict[str, Any] = {"uncertainty": kinds}
    if "dropout" in kinds:
        settings |= {"samples": samples, "seed": seed}
    missing = [Path(path).name for path in checkpoints if not Path(path).is_file()]
    if missing:
        expected = "trained weights of each member of the ensemble"
        raise RefusedError.of("missing_checkpoint", missing[0], expected=expected, got="no such file")
    if "ensemble" in kinds:
        settings["checkpoints"] = [file_sha256(path) for path in checkpoints]
    return settings


def _kinds(uncertainty: str | Sequence[str], samples: int, checkpoints: Sequence[str | Path]) -> list[str]:
    """Give the words in the order of `KINDS`, or refuse."""
    words = [uncertainty] if isinstance(uncertainty, str) else list(uncertainty)
    if not words or not set(words) <= set(KINDS):
        expected = f"one or several of {', '.join(KINDS)}"
        raise RefusedError.of("unknown_uncertainty", "uncertainty", expected=expected, got=str(uncertainty))
    if "dropout" in words and samples < 2:
        raise RefusedError.of("too_few_samples", "samples", expected="at least 2", got=str(samples))
    if ("ensemble" in words) != bool(checkpoints) or len(checkpoints) == 1:
        expected = "two or more checkpoints with uncertainty ensemble, and none without"
        got = f"{len(checkpoints)} with {', '.join(words)}"
        raise RefusedError.of("wrong_checkpoints", "checkpoints", expected=expected, got=got)
    return [kind for kind in KINDS if kind in words]
