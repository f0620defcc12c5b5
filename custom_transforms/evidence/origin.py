"""What was measured on what: the files behind an evaluation."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from custom_transforms.file_hash import file_sha256


@dataclass(frozen=True, kw_only=True)
class EvidenceOrigin:
    """The files that an evaluation's numbers belong to.

    Attributes:
        bundle_root: folder whose `configs/metadata.json` has the name and the version.
        data_list: the list of patients.
        weights: the network's file.
    """

    bundle_root: str
    data_list: str
    weights: str

    def read(self) -> dict[str, str]:
        """Give `bundle`, `version`, `date` of today in UTC, `data_list_sha256` and `weights_sha256`.

        Raises:
            OSError: a file cannot be read.
        """
        metadata = json.loads((Path(self.bundle_root) / "configs" / "metadata.json").read_text(encoding="utf-8"))
        return {
            "bundle": str(metadata["name"]),
            "version": str(metadata["version"]),
            "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
            "data_list_sha256": file_sha256(self.data_list),
            "weights_sha256": file_sha256(self.weights),
        }
