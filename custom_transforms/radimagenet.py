"""Start training from weights that were learnt on radiological images, and record which."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from custom_transforms.best_model import plain
from custom_transforms.file_hash import file_sha256
from custom_transforms.refusal import RefusedError, last_line
from custom_transforms.safe_weights import read_weights
from custom_transforms.weight_families import fit_weights, recognise_weights

CHOICES = ("radimagenet", "file", "none")
STATE = "weights_source"  # kept with the trainer's own state, so that checkpoints tell where a model comes from


@dataclass(frozen=True)
class HubFile:
    """A file of a repository of the Hugging Face hub.

    Attributes:
        repository: `<owner>/<name>`, such as `Lab-Rasool/RadImageNet`.
        revision: commit, 40 hexadecimal digits; a branch or tag may be other weights tomorrow.
        filename: path in the repository, such as `ResNet50.pt`.
    """

    repository: str
    revision: str
    filename: str


COMMIT, SHA256 = re.compile("[0-9a-f]{40}"), re.compile("[0-9a-f]{64}")
HUB_KEYS = tuple(field.name for field in fields(HubFile))


class PretrainedWeightsHandler:
    """When the first epoch starts, load a backbone of known family and known hash; nothing stands in for it.

    Weights that the network was given after this was made, as a federated client gives it those of the server, are
    kept, and recorded as `given`.

    Args:
        network: the slice classifier; its first convolution has one input channel.
        pretrained: `radimagenet`; `file`, other weights of known names, such as this project's own, recorded as no more
            than that; or `none` to start from random weights because that is wanted.
        file: weights on this machine, `.pt` or `.safetensors`; the default, None, takes them from the hub.
        hub: `repository`, `revision` (a commit) and `filename`; not used where `file` is given.
        sha256: expected hash of the file, 64 hexadecimal digits; may be None for a file on this machine only.
        resume: true where training goes on from a checkpoint, which brings the weights and the record of their source;
            with `auto` the epoch tells: a training that goes on has left the first one behind.

    The record, `source`, is in the trainer's state as `weights_source`, and among what its `state_dict` holds; a
    resumed trainer takes it from the checkpoint.

    Reference:
        Mei et al., RadImageNet: An Open Radiologic Deep Learning Research Dataset for Effective Transfer Learning,
        Radiology: Artificial Intelligence 2022, doi:10.1148/ryai.210315.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        pretrained: str,
        file: str | Path | None = None,
        hub: Mapping[str, str] | None = None,
        sha256: str | None = None,
        resume: bool | str = False,
    ) -> None:
        if pretrained not in CHOICES:
            raise ValueError(f"expected pretrained to be one of {', '.join(CHOICES)}, got {pretrained!r}")
        if hub and hub.keys() - set(HUB_KEYS):
            raise ValueError(f"expected a hub file with {', '.join(HUB_KEYS)}, got {', '.join(hub)}")
        self.network = network
        self.sha256 = sha256.lower() if sha256 else None
        self.file = Path(file) if file else None
        self.hub = dict(hub or {})
        self.wanted = pretrained != "none" and str(resume).lower() != "true"
        self.source: dict[str, str] = {"pretrained": pretrained}
        self.versions = _versions(network)

    def attach(self, engine: Engine) -> None:
        """Load when the trainer's first epoch starts."""
        setattr(engine.state, STATE, self.source)
        engine.state_dict_user_keys.append(STATE)
        engine.add_event_handler(Events.EPOCH_STARTED(once=1), self)

    def __call__(self, engine: Engine) -> None:
        """Load the weights and record their source.

        Raises:
            RefusedError: the file is missing, out of reach, not the one that was meant, damaged, or of another family.
        """
        if _versions(self.network) != self.versions:
            self.source["pretrained"] = "given"
            logging.getLogger(__name__).warning("the network was given weights: no pretrained ones are loaded")
            return
        if not self.wanted:
            return
        path, origin = self._locate()
        if not path.is_file():
            raise RefusedError.of("missing_weights", path.name, expected="a file of weights", got="no such file")
        found = file_sha256(path)
        if self.sha256 not in (None, found):
            raise RefusedError.of("wrong_sha256", path.name, expected=str(self.sha256), got=found)
        weights = recognise_weights(read_weights(path), file=path.name)
        if self.source["pretrained"] == "radimagenet" and weights.family != "radimagenet_pytorch" and not self.sha256:
            expected = "RadImageNet's own names of weights, or its sha256 (pretrained: file takes other weights)"
            raise RefusedError.of("wrong_family", path.name, expected=expected, got=weights.family)
        network = plain(self.network)
        fitting = fit_weights(weights, network.state_dict(), file=path.name)
        network.load_state_dict(fitting, strict=False)  # every key is accounted for by then
        head = "taken" if weights.head.keys() & fitting.keys() else "random"
        self.source.update(origin, family=weights.family, sha256=found, head=head)
        logging.getLogger(__name__).info("weights: %s", self.source)

    def _locate(self) -> tuple[Path, dict[str, str]]:
        """Return the file and where it is from; refused only now, as some tools merely look at a bundle."""
        if self.file:
            return self.file, {"filename": self.file.name}
        if missing := [name for name in ("repository", "filename") if not self.hub.get(name)]:
            expected = "a file on the hub (pretrained_hub), a local one (pretrained_file), or pretrained none"
            raise RefusedError.of("weights_not_named", "weights", expected=expected, got=f"no {', '.join(missing)}")
        revision, name = self.hub.get("revision") or "none", Path(self.hub["filename"]).name
        if not COMMIT.fullmatch(revision) or not SHA256.fullmatch(self.sha256 or ""):
            raise RefusedError.of(
                "weights_not_pinned",
                name,
                expected="pretrained_hub::revision as a commit of 40 digits and pretrained_sha256 of 64, both on the "
                "file's page of the hub, or a local pretrained_file, or pretrained none",
                got=f"revision {revision} and sha256 {self.sha256 or 'none'}",
            )
        return download(HubFile(**self.hub)), self.hub


def _versions(network: nn.Module) -> list[int]:
    """Count how often each weight was written."""
    return [weight._version for weight in network.parameters()]


def download(hub: HubFile) -> Path:
    """Fetch a file from the hub, or take it from the hub's cache on this machine.

    The environment variables of the hub's client hold: `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_OFFLINE`, proxies.

    Args:
        hub: which file.

    Returns:
        Path in the cache.

    Raises:
        RefusedError: the client is not installed, or the file is out of reach.
    """
    name = Path(hub.filename).name
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        expected = "the hub's client (pip install 'neuro-oncology-bundles[hub]'), or a local file of weights"
        raise RefusedError.of("missing_package", name, expected=expected, got="no package huggingface_hub") from error
    try:
        return Path(hf_hub_download(hub.repository, hub.filename, revision=hub.revision))
    except Exception as error:  # the errors of the client and of its HTTP library have no root in common
        expected = f"{hub.filename} of {hub.repository} at {hub.revision} from the hub, or a local file of weights"
        got = f"{type(error).__name__}: {last_line(error)}"
        raise RefusedError.of("weights_unreachable", name, expected=expected, got=got) from error
