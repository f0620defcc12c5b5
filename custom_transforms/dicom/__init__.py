"""Reading of CT series from DICOM, without torch and MONAI."""
