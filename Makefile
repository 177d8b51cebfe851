# make demo   poll a server that comes along, to see fasthio at work
# make test   run the whole suite, on both engines
# make quick  run the part of it that most changes touch
# make bench  measure beside all peers, write bench/RESULTS.md
# Each sets up all it needs in .venv. PYTHON=... chooses the Python (3.10 or newer),
# FASTHIO_BUILD=pure leaves the C engine out.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.made
QUICK := clienting client_doers client_programs differences engine errors grammar package parser \
	parser_buffers parser_calls parser_grammar publishing redirecting responding responding_by_hand

# the first Python that is new enough and can make virtual environments
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3.10 python3 python; do \
	if $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' \
	>/dev/null 2>&1; then echo $$name; break; fi; done)

# what an installation depends on: Python, how to build, whether there is a compiler, ...
FASTHIO_BUILD ?= auto
COMPILER := $(if $(shell command -v cc || command -v gcc || command -v clang),cc,nocc)
VENV_STAMP := $(STAMP)-with-$(subst /,_,$(PYTHON))
PACKAGE_STAMP := $(STAMP)-package-$(FASTHIO_BUILD)-$(COMPILER)
# ... and these files
INPUTS := pyproject.toml setup.py $(wildcard src/*.pyx src/*.pxi src/*.pxd src/*.h)

export FASTHIO_BUILD
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test quick bench lint types docs changes engine clean

help:
	@echo "make demo    poll a server that comes along, to see fasthio at work"
	@echo "make test    run the whole suite, on both engines"
	@echo "make quick   run the part of it that most changes touch, in a minute"
	@echo "make bench   measure beside all peers, write bench/RESULTS.md and plots (BENCH=...)"
	@echo "make lint    ruff"
	@echo "make types   mypy --strict, and the stub of the C engine against the engine"
	@echo "make docs    the documentation, into site/, warnings being errors"
	@echo "make changes CHANGELOG.md, of changelog.d"
	@echo "make clean   remove $(VENV) and all that was built"

demo: $(STAMP)-poll engine
	@$(RUN) -m fasthio demo

test: $(STAMP)-test engine
	@$(RUN) tests/both_engines.py

quick: $(STAMP)-test engine
	@$(RUN) tests/both_engines.py -q $(QUICK:%=tests/test_%.py)

# niquests brings urllib3-future, which takes urllib3's place unless told not to
bench: $(STAMP)-bench engine
	@$(RUN) -c 'import niquests' 2>/dev/null || URLLIB3_NO_OVERRIDE=true \
	$(RUN) -m pip install --quiet --no-binary urllib3-future niquests || echo "niquests: left out"
	$(RUN) -m bench.run $(BENCH)

lint: $(STAMP)-dev
	$(RUN) -m ruff check .
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cython-lint --max-line-length 104 src/*.pyx src/*.pxi

types: $(STAMP)-dev
	$(RUN) -m mypy
	@if ! $(RUN) -c 'import fasthio._parser' 2>/dev/null; \
	then echo 'no C engine: its stub is not checked'; \
	else set -x; $(RUN) -m mypy.stubtest --allowlist tests/stubtest.txt fasthio._parser; fi

docs: $(STAMP)-docs
	$(RUN) -m sphinx -W --keep-going -q -E -b html docs site
	@echo "the documentation is in site/index.html"

changes: $(STAMP)-dev
	$(RUN) tools/changes.py

clean:
	rm -rf $(VENV) build dist site docs/_generated src/*.egg-info src/fasthio/_parser.*.so

# asked of what is installed, as pip hides what the build says
engine: $(PACKAGE_STAMP)
	@FASTHIO_ENGINE=auto $(RUN) -W ignore -c 'import fasthio; \
	print({"c": "fasthio runs its C engine", \
	"py": "fasthio: no C engine was built: pure Python engine"}[fasthio.ENGINE], flush=True)'

$(VENV_STAMP):
	@if [ -z "$(PYTHON)" ]; then \
	echo "fasthio needs Python 3.10 or newer, with venv and ensurepip, and found none."; \
	echo "Debian and Ubuntu: apt install python3-venv. Another Python: make PYTHON=/path/to/python3"; \
	exit 1; fi
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit( \
	"fasthio needs Python 3.10 or newer, $(PYTHON) is %d.%d" % v[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# in place: what runs and is tested is what stands in src/
$(PACKAGE_STAMP): $(INPUTS) $(VENV_STAMP)
	@rm -f $(STAMP)-package-*
	$(RUN) -m pip install --quiet --editable .
	@touch $@

# the package is there: this adds what the extra asks for
$(STAMP)-%: $(PACKAGE_STAMP)
	$(RUN) -m pip install --quiet 'fasthio[$*]'
	@touch $@

include quality.mk
