# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint check bench train-defaults clean

demo: $(VENV)/base
	$(BIN)/morphoscope demo

test: $(VENV)/dev lint
	$(BIN)/python -m pytest

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks.loops
	$(BIN)/python -m benchmarks.scale_bars
	$(BIN)/python -m benchmarks.stacks
	$(BIN)/python -m benchmarks.registration
	$(BIN)/python -m benchmarks.linking
	$(BIN)/python -m benchmarks.link_speed
	$(BIN)/python -m benchmarks.physics
	$(BIN)/python -m benchmarks.bulk_water
	$(BIN)/python -m benchmarks.shapes
	$(BIN)/python -m benchmarks.size_statistics
	$(BIN)/python -m benchmarks.particle_statistics
	$(BIN)/python -m benchmarks.structure
	$(BIN)/python -m benchmarks.spots
	$(BIN)/python -m benchmarks.particles
	$(BIN)/python -m benchmarks.segment_speed
	$(BIN)/python -m benchmarks.outlines
	$(BIN)/python -m benchmarks.gold --video
	$(BIN)/python -m benchmarks.polarity
	$(BIN)/python -m benchmarks.height_maps
	$(BIN)/python -m benchmarks.demo_particles
	$(BIN)/python -m benchmarks.anomaly
	$(BIN)/python -m benchmarks.bridge_cracks
	$(BIN)/python -m benchmarks.cracks
	$(BIN)/python -m benchmarks.coating
	$(BIN)/python -m benchmarks.films
	$(BIN)/python -m benchmarks.score_speed
	$(BIN)/python -m benchmarks.responses
	$(BIN)/python -m benchmarks.trends
	$(BIN)/python -m benchmarks.score_pairs
	$(BIN)/python -m benchmarks.score_split
	$(BIN)/python -m benchmarks.film_network
	$(BIN)/python -m benchmarks.classify_neu
	$(BIN)/python -m benchmarks.foreign
	$(BIN)/python -m benchmarks.classify_speed
	$(BIN)/python -m benchmarks.label_next
	$(BIN)/python -m benchmarks.nanofibre
	$(BIN)/python -m benchmarks.copies
	$(BIN)/python -m benchmarks.conformal
	$(BIN)/python -m benchmarks.wires

train-defaults: $(VENV)/bench
	$(BIN)/python -m benchmarks.defaults

$(VENV)/base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

# torch is installed first and pinned, so that no later release with its CUDA packages is drawn in
$(VENV)/dev: pyproject.toml | $(VENV)/base
	$(BIN)/pip install --quiet "torch==2.13.0"
	$(BIN)/pip install --quiet --editable ".[train,dev]"
	touch $@

# what only the benchmarks compare with, and the encoder that the model `particles` starts from
$(VENV)/bench: pyproject.toml | $(VENV)/dev
	$(BIN)/pip install --quiet --editable ".[bench]"
	touch $@

clean:
	rm -rf $(VENV)
