PYTHON ?= python3
VENV := .venv
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
READY := $(VENV)/.ready

.PHONY: help demo phantom-study test clean

help:
	@echo "make demo                 train, evaluate and run both bundles on phantoms"
	@echo "make demo DATASET=/path   the same with one bundle on your own labelled cases, BraTS-like or head CT"
	@echo "make phantom-study        what the CT classifier learns on phantoms; under an hour on two cores"
	@echo "make test                 lint, types and tests; NEURO_DATA=/path adds the tests on real scans"
	@echo "make clean                remove build/ and $(VENV)/"

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --editable '.[test]'
	@touch $@

demo: $(READY)
	$(RUN) scripts/demo.sh $(if $(DATASET),"$(DATASET)")

phantom-study: $(READY)
	$(RUN) scripts/phantom_study.sh

test: $(READY)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) python scripts/format_configs.py --check bundles/*/configs/*.json
	$(RUN) mypy
	$(RUN) python -m pytest

clean:
	rm -rf build $(VENV)
