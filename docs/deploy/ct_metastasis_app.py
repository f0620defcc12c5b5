"""MONAI Deploy application: a head CT in DICOM goes in, a DICOM segmentation and a DICOM report come out.

STUDY is a folder with the DICOM files of one study, MODEL the bundle's folder or its exported `.ts`. Research only.

Example:
    python docs/deploy/ct_metastasis_app.py --input STUDY --output RESULTS --model MODEL
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from holoscan.conditions import CountCondition
from monai.deploy.core import AppContext, Application, Image, IOType, Operator, OperatorSpec
from monai.deploy.core.domain import DICOMSeries, SelectedSeries, StudySelectedSeries
from monai.deploy.operators import (
    DICOMDataLoaderOperator,
    DICOMSegmentationWriterOperator,
    DICOMTextSRWriterOperator,
    IOMapping,
    ModelInfo,
    MonaiBundleInferenceOperator,
)
from monai.deploy.operators.dicom_seg_writer_operator import SegmentDescription
from pydicom.sr.codedict import codes

from custom_transforms.series_reader import CtSeriesReader

NAME, VERSION = "ct_metastasis_classifier", "0.1.0"
# Type 2 in PS3.3 C.7.1.1 and C.7.2.1: may be empty; programs that anonymise take them away, and highdicom fails
EMPTY_OR_MORE = {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
                 "AccessionNumber", "ReferringPhysicianName"}  # fmt: skip
REPORT = """{name} {version}: brain metastases on head CT. Research only, not for diagnosis.
Probability: {patient_probability:.6f}
Decision: {decision}
Slices: {slices[used]} of {slices[total]} used; highest in {carrying_slices}, counted from the feet, the first is 0
Notes: {notes}"""


class ReadScanOperator(Operator):
    """Read the study as the bundle does, and name the DICOM object of each slice.

    The SDK's `DICOMSeriesToVolumeOperator` takes a missing slice, a sharp kernel or a tilted gantry in silence; the
    bundle's reader chooses the series and its slices, or refuses the study and says why.
    """

    def __init__(self, app: Application, folder: Path, **names: str) -> None:
        self.folder = folder
        super().__init__(app, **names)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("studies")
        spec.output("image")
        spec.output("series")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        reader = CtSeriesReader()
        volume = reader.read(self.folder)
        (study,) = op_input.receive("studies")
        instances = [instance for series in study.get_all_series() for instance in series.get_sop_instances()]
        datasets = {str(one["SOPInstanceUID"].value): one.get_native_sop_instance() for one in instances}
        if missing := set(volume.instance_uids) - set(datasets):
            raise ValueError(f"DICOM objects: {len(missing)} slices of the scan were left out by the SDK's loader")
        series = DICOMSeries(datasets[volume.instance_uids[0]].SeriesInstanceUID)
        for uid in volume.instance_uids:  # the segmentation's writer takes frame by frame, object by object
            for keyword in EMPTY_OR_MORE - set(datasets[uid].dir()):
                setattr(datasets[uid], keyword, "")
            series.add_sop_instance(datasets[uid])
        selected = StudySelectedSeries(study)
        selected.add_selected_series(SelectedSeries("head CT", series))
        voxels, metadata = reader.get_data(volume)
        op_output.emit(Image(voxels, {**metadata, "notes": "; ".join(volume.notes)}), "image")
        op_output.emit([selected], "series")


class ClassifyOperator(MonaiBundleInferenceOperator):
    """Run the bundle, and report the patient's result beside the region map, which is all that the SDK sends on."""

    def setup(self, spec: OperatorSpec) -> None:
        super().setup(spec)
        spec.output("report")

    def pre_process(self, data: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        return super().pre_process({**data, "notes": data["image"].meta["notes"]})

    def post_process(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        item = super().post_process(data, *args, **kwargs)
        self.report = REPORT.format(name=NAME, version=VERSION, **item["record"])
        return item

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        super().compute(op_input, op_output, context)
        op_output.emit(self.report, "report")


class MetastasisApp(Application):
    """Load, read and classify a study, and write both results."""

    def __init__(self, context: AppContext) -> None:
        self.context = context
        super().__init__()

    def compose(self) -> None:
        study, results = Path(self.context.input_path), Path(self.context.output_path)
        info = ModelInfo("Neuro-oncology bundles developers", NAME, VERSION)
        region = SegmentDescription("suspicious region", codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Lesion,
                                    NAME, VERSION)  # fmt: skip
        image, mask = (IOMapping(name, Image, IOType.IN_MEMORY) for name in ("image", "pred"))

        load = DICOMDataLoaderOperator(self, CountCondition(self, 1), input_folder=study, name="load")
        read = ReadScanOperator(self, study, name="read")
        classify = ClassifyOperator(self, app_context=self.context, bundle_path=self.context.model_path,
                                    input_mapping=[image], output_mapping=[mask], name="classify")  # fmt: skip
        segment = DICOMSegmentationWriterOperator(self, segment_descriptions=[region], output_folder=results,
                                                  model_info=info, name="segment")  # fmt: skip
        report = DICOMTextSRWriterOperator(self, output_folder=results, model_info=info, name="report")

        self.add_flow(load, read, {("dicom_study_list", "studies")})
        self.add_flow(read, classify, {("image", "image")})
        for writer, output, port in ((segment, "pred", "seg_image"), (report, "report", "text")):
            self.add_flow(classify, writer, {(output, port)})
            self.add_flow(read, writer, {("series", "study_selected_series_list")})


def main() -> None:
    context = Application.init_app_context()
    for place in ("input_path", "output_path", "model_path"):
        setattr(context, place, str(Path(getattr(context, place)).absolute()))
    if Path(context.model_path).is_dir():
        if Path(context.model_path, "models", "model.ts").exists():  # the operating point belongs to model.pt
            raise SystemExit("two_networks: models: expected model.pt alone, got model.ts, which the SDK would run")
        context.models = None  # the SDK takes a folder for a network that cannot be called
        os.chdir(context.model_path)  # from where the bundle finds its operating point
    MetastasisApp(context).run()


if __name__ == "__main__":
    main()
