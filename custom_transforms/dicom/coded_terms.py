"""Coded terms of results, as DICOM SEG and SR need them."""

from __future__ import annotations

from pydicom.sr.coding import Code

# PS3.16 CID 7150 (segmentation property categories), CID 7159 (lesion segmentation types), CID 7162 (families)
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = Code("52988006", "SCT", "Lesion")
NECROSIS = Code("6574001", "SCT", "Necrosis")
OEDEMA = Code("79654002", "SCT", "Edema")
ENHANCING = Code("C113842", "NCIt", "Enhancing Lesion")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
BRAIN = Code("12738006", "SCT", "Brain")
METASTASIS = Code("94225005", "SCT", "Metastatic malignant neoplasm to brain")

# PS3.16 CID 6048; TID 4005 gives its unit and range, 0 to 100 %
PROBABILITY = Code("111047", "DCM", "Probability of cancer")
# Of the same probability after a calibration map. No standard scheme has the term; 99 begins a private one (PS3.16 8.2)
CALIBRATED = Code("calibrated", "99NEUROONC", "Calibrated on patients with known outcome")
THRESHOLD = Code("122411", "DCM", "Threshold Value")
PERCENT = Code("%", "UCUM", "Percent")
POSITIVE = Code("10828004", "SCT", "Positive")
NEGATIVE = Code("260385009", "SCT", "Negative")
DEVICE = Code("121007", "DCM", "Device")
COMMENT = Code("121106", "DCM", "Comment")
# CID 100 has no CT of the head but for perfusion
CT_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
