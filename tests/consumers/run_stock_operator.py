"""Run bundles in MONAI Deploy's own inference operator, for `test_deploy.py`, in MONAI Deploy's environment.

Each argument is a JSON object: `image`, a `.npz` of voxels and metadata; `model`, a bundle's folder or its `.ts`;
`output`, the `.npy` of the image that the operator sends on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from holoscan.conditions import CountCondition
from monai.deploy.core import AppContext, Application, Image, IOType, Operator, OperatorSpec
from monai.deploy.operators import IOMapping, MonaiBundleInferenceOperator


class SourceOperator(Operator):
    def __init__(self, app: Application, condition: CountCondition, *, path: str) -> None:
        self.path = path
        super().__init__(app, condition, name="source")

    def setup(self, spec: OperatorSpec) -> None:
        spec.output("image")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        with np.load(self.path) as content:
            metadata = dict(content)
        channel = metadata["original_channel_dim"].item()
        op_output.emit(Image(metadata.pop("voxels"), {**metadata, "original_channel_dim": channel}), "image")


class SinkOperator(Operator):
    def __init__(self, app: Application, *, path: str) -> None:
        self.path = path
        super().__init__(app, name="sink")

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("pred")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        np.save(self.path, op_input.receive("pred").asnumpy())


class OneBundleApp(Application):
    def __init__(self, image: str, model: str, output: str) -> None:
        self.paths = image, model, output
        super().__init__()

    def compose(self) -> None:
        image, model, output = self.paths
        source = SourceOperator(self, CountCondition(self, 1), path=image)
        takes, gives = (IOMapping(name, Image, IOType.IN_MEMORY) for name in ("image", "pred"))
        infer = MonaiBundleInferenceOperator(
            self,
            app_context=AppContext({} if Path(model).is_dir() else {"model": model}),
            bundle_path=model if Path(model).is_dir() else "",
            input_mapping=[takes],
            output_mapping=[gives],
            name="infer",
        )
        self.add_flow(source, infer)
        self.add_flow(infer, SinkOperator(self, path=output))


for job in sys.argv[1:]:
    OneBundleApp(**json.loads(job)).run()
