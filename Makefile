# What people type; the work is in deploy/setup and in the program itself.

.DEFAULT_GOAL := help
.PHONY: test-providers-real test-queue test-closures test-nix-real test-compose test-repos-big help setup setup-test setup-guix test-guix-real run serve test test-long test-mutations test-faults test-fuzz test-kills lint format lock bench-sessions bench-watchers bench-http bench-rebuild bench-images bench-launch clean
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

BIN := .venv/bin

# make run REPO=https://… REF=main PORT=8000 DATA=/srv/repolaunch
# Handed on through the environment, never through a shell's words: a link may hold anything.
export REPO REF PORT DATA ROUNDS SEED NIXPKGS

CASES ?= 300

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install and start all that the service needs (safe to run again)
	@deploy/setup/run.sh

setup-test: ## the same, and what the tests need
	@deploy/setup/run.sh --test

setup-guix: setup ## the image that Guix environments are built with (needed by no other; safe to run again)
	@deploy/setup/guix.sh

run: ## run the service here and launch an example: make run [REPO=url] [REF=ref] [PORT=n] [DATA=folder]
	@deploy/setup/run.sh $(if $(REPO),,--quick)
	@exec deploy/setup/up.sh

serve: setup ## run the service here, launch nothing: make serve [PORT=n] [DATA=folder]
	@exec deploy/setup/up.sh --no-example

test: setup-test ## every check and every test: make test [PYTEST_ARGS="-k name"]
	@exec deploy/setup/test.sh $(PYTEST_ARGS)

test-faults: setup-test ## the engine killed, hung and filled, and full disks, at length
	@exec $(BIN)/python -m pytest -m "long or not long" --timeout=900 tests/integration/test_faults_*.py $(PYTEST_ARGS)

test-long: setup-test ## every test that `make test` leaves out because it takes minutes
	@exec $(BIN)/python -m pytest -m long --timeout=900 $(PYTEST_ARGS)

test-queue: setup-test ## a class of 600 on one new link and 50 people on others; and some real sessions: prints the rate of launches
	@exec $(BIN)/python -m pytest -s -m "long or not long" --timeout=900 tests/integration/test_queue.py tests/api/test_queue_load.py \
	  tests/contract/test_sessions_contract.py $(PYTEST_ARGS)

test-closures: setup-test ## Nix and Guix environments and the notebook server from nothing: every file fetched, every path built (half an hour)
	@exec $(BIN)/python -m pytest -m "long or not long" --timeout=1800 tests/integration/test_closure*.py \
	  tests/integration/test_guix_evaluate.py tests/integration/test_guix_images.py tests/integration/test_guix_service.py \
	  tests/integration/test_guix_signed.py tests/integration/test_guix_cache.py tests/integration/test_nix_cache.py $(PYTEST_ARGS)

test-nix-real: setup-test ## the same authors with the real nixpkgs, where there is internet: make test-nix-real NIXPKGS="COMMIT sha256-HASH"
	@TEST_NIXPKGS="$${NIXPKGS:?the commit and the hash of a nixpkgs}" exec $(BIN)/python -m pytest \
	  -m "long or not long" --timeout=7200 -k "not server_built_again" tests/integration/test_closure_*.py $(PYTEST_ARGS)

test-mutations: setup-test ## each protection taken away from a copy, its test seen to fail: about half an hour [ONLY=words]
	@exec $(BIN)/python -m tests.mutations.run $(ONLY)

test-guix-real: setup-test ## Guix environments with nothing stood in for: needs the internet, an hour or more
	@TEST_GUIX_REAL=1 $(BIN)/python -m pytest -m long --timeout=7200 tests/integration/test_guix_real.py $(PYTEST_ARGS)

test-providers-real: setup-test ## Zenodo and the others answer as they did when they were recorded: needs the internet
	@TEST_PROVIDERS_REAL=1 $(BIN)/python -m pytest -m long -k real tests/integration/test_records_resolver.py $(PYTEST_ARGS)

lint: setup-test ## the checks alone
	@exec deploy/setup/lint.sh

format: setup-test ## put the code into the one format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: ## the newest versions that fit into requirements/*.lock
	@deploy/setup/lock.sh

test-fuzz: setup-test ## the running service under many odd requests: make test-fuzz [CASES=500]
	@FUZZ_CASES=$(CASES) exec $(BIN)/pytest tests/integration/test_fuzz.py -q -s --timeout=0

test-compose: setup-test ## the compose file end to end: builds the image of the parts, minutes
	@$(BIN)/python -m pytest tests/compose/end_to_end.py

test-kills: setup-test ## kill -9 at random, while people work: make test-kills [ROUNDS=200] [SEED=n]
	@KILL_ROUNDS="$${ROUNDS:-200}" KILL_SEED="$$SEED" $(BIN)/python -m pytest tests/kills

bench-launch: setup-test ## how long a launch takes: one JSON object as the last line
	@exec $(BIN)/python benchmarks/launch.py --json

bench-sessions: setup-test ## a session from a built Nix or Guix environment, by an image and by the stores: one JSON object as the last line
	@exec $(BIN)/python benchmarks/sessions.py --json

bench-watchers: setup-test ## 10,000 watchers of one build (two minutes or so; 10,200 descriptors): one JSON object as the last line
	@exec $(BIN)/python benchmarks/watchers.py --json

bench-http: setup-test ## requests per second of each light route: one JSON object as the last line
	@exec $(BIN)/python benchmarks/http.py --json

bench-rebuild: setup-test ## what a changed notebook costs, by builder: one JSON object as the last line
	@exec $(BIN)/python benchmarks/rebuild.py --json

bench-images: setup-test ## assembling and pushing an image against tar and against Docker: one JSON object as the last line
	@exec $(BIN)/python benchmarks/images.py --json

test-repos-big: setup-test ## checkouts of 200,000 files, of 2 GB and of 100,000 commits: times and peak disk (4 GB of room in TMPDIR)
	@exec $(BIN)/python -m benchmarks.repos_big

clean: ## remove what set-up made in this folder (never data, never the engine's images)
	@rm -rf .venv build deploy/proxy/node_modules frontend/node_modules frontend/dist tests/clients/node_modules
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
