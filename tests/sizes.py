"""How much the heavy tests do: little in `make test`, much in `make soak`."""

from __future__ import annotations

import os

SOAK = os.environ.get("SOAK") == "1"
KILLS = 200 if SOAK else 20  # of a training that writes checkpoints
MUTANTS = 20_000 if SOAK else 200  # of valid files
STUDIES = 2_000 if SOAK else 200  # of a run over many, one in twenty damaged
STUDY_KILLS = 5 if SOAK else 2  # of such a run
