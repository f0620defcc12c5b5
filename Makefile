PYTHON ?= python3
VENV := .venv
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
READY := $(VENV)/.ready

SUITE := python -m pytest -n auto --maxprocesses 4 --dist loadfile

READY_PYTHON = $(if $(wildcard $(VENV)/bin/python),$(VENV)/bin/python,$(PYTHON))

MONAILABEL := .venv-monailabel
DEPLOY := .venv-deploy
NVFLARE := .venv-nvflare

.PHONY: help doctor demo report-full phantom-study monailabel orthanc test soak consumers bench clean

help:
	@echo "make doctor               what this machine has and lacks, and the commands that mend it"
	@echo "make demo                 train, evaluate and run both bundles on phantoms"
	@echo "make demo DATASET=/path   the same with one bundle on your own labelled cases, BraTS-like or head CT"
	@echo "make report-full          make demo, and what samples, an ensemble, abstention and deletion add to its reports"
	@echo "make phantom-study        what the CT classifier learns on phantoms; under an hour on two cores"
	@echo "make monailabel           serve both bundles to 3D Slicer and OHIF; STUDIES=/path, a folder of .nii.gz files"
	@echo "make orthanc              a DICOMweb store for it, PORT=8042; then make monailabel STUDIES=http://127.0.0.1:8042/dicom-web"
	@echo "                          and scripts/store_region.py, which keeps what was found in the store as DICOM SEG"
	@echo "make test                 lint, types and tests; NEURO_DATA=/path adds the tests on real scans"
	@echo "make soak                 kills, damaged files and long runs by the thousand; half an hour"
	@echo "make consumers            MONAI Label and other programs that take bundles, each in an environment of its own"
	@echo "make bench                how fast each job is, beside plain code and the machine's limits; an hour, on a quiet machine"
	@echo "make clean                remove build/ and all environments"

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --editable '.[test]'
	@touch $@

$(MONAILABEL)/.ready: pyproject.toml scripts/mend_torchvision.py
	$(PYTHON) -m venv $(MONAILABEL)
	$(MONAILABEL)/bin/pip install --editable '.[dicom,export,fast,h5,hub,notebooks,onnxruntime,openvino]' 'pytest>=8' pytest-xdist torch==2.13.0 torchvision==0.28.0 \
	  monailabel==0.8.5 'pydicom<3' dcmqi
	$(MONAILABEL)/bin/python scripts/mend_torchvision.py
	@touch $@

$(DEPLOY)/.ready: pyproject.toml
	$(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/pip install --editable . torch==2.13.0 monai-deploy-app-sdk==4.0.0 holoscan-cu13==4.6.0 highdicom==0.28.2
	@touch $@

$(NVFLARE)/.ready: pyproject.toml
	$(PYTHON) -m venv $(NVFLARE)
	$(NVFLARE)/bin/pip install --editable . torch==2.13.0 monai-nvflare==0.4.0
	@touch $@

doctor:
	@$(READY_PYTHON) scripts/doctor.py

demo: $(READY)
	$(RUN) scripts/demo.sh $(if $(DATASET),"$(DATASET)")

report-full: demo
	$(RUN) scripts/report_full.sh

phantom-study: $(READY)
	$(RUN) scripts/phantom_study.sh

monailabel: $(MONAILABEL)/.ready
	PATH="$(CURDIR)/$(MONAILABEL)/bin:$$PATH" scripts/monailabel.sh $(if $(STUDIES),"$(STUDIES)")

orthanc:
	@scripts/orthanc.sh build/orthanc $(PORT)

test: $(READY)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) python scripts/format_configs.py --check bundles/*/configs/*.json
	$(RUN) mypy
	OMP_NUM_THREADS=1 $(RUN) $(SUITE)

SOAK_TESTS := tests/test_kill_training.py tests/test_fuzz.py tests/test_many_studies.py tests/test_ray.py tests/test_mri_suspicions.py

soak: $(READY)
	$(VENV)/bin/pip install --editable '.[ray]'
	SOAK=1 $(RUN) python -m pytest -m "soak or not soak" $(SOAK_TESTS)

consumers: $(READY) $(DEPLOY)/.ready $(MONAILABEL)/.ready $(NVFLARE)/.ready
	$(VENV)/bin/pip install --editable '.[consumers]'
	$(RUN) python -m pytest -m consumer tests/consumers
	OMP_NUM_THREADS=1 PATH="$(CURDIR)/$(MONAILABEL)/bin:$$PATH" $(SUITE)  # with its numpy 1.26 and pydicom 2.4

bench: $(READY)
	$(RUN) PYTHONPATH=tests python -m benchmarks --output build

clean:
	rm -rf build $(VENV) $(VENV)-*
