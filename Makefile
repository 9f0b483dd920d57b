# Oarlock: every command sets up what it needs by itself. Settings: PYTHON=python3.12, VENV=/elsewhere, ARGS='...',
# COMPILE=no (install the sources as they are, editable, instead of compiling the hot path: see docs/compiling.md).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SUBPACKAGES := wire storage coordinator gateway workers host cli loadgen
TYPES := build/types/oarlock
SOURCES := pyproject.toml setup.py $(shell find client $(SUBPACKAGES) -name '*.py')
COMPILE ?= $(shell command -v cc >/dev/null && echo yes || echo no)
FORM := $(if $(filter no,$(COMPILE)),-as-source)

.PHONY: help run test lint types protos bench bench-compare bench-cluster bench-etcd bench-etcd-tls growth performance soak clean setup setup-test

help:
	@echo 'make run      a server in the foreground, data in ./data; flags by ARGS="--workers 2"'
	@echo 'make test     all tests but the long ones; ARGS="tests/host -k settings" picks some'
	@echo 'make lint     ruff, and mypy over the installed package'
	@echo 'make protos   the Python modules of gateway/proto/*.proto'
	@echo 'make bench    the figures of docs/performance.md on this machine'
	@echo 'make bench-compare, bench-cluster   one member against etcd, and three'
	@echo 'make bench-etcd   the etcd front door against etcd, by etcd'"'"'s own tool'
	@echo 'make bench-etcd-tls   the same over TLS'
	@echo 'make growth   tables and pictures of how it grows, into docs/performance.md'
	@echo 'make performance   bench, bench-compare and bench-cluster, into docs/performance.md'
	@echo 'make soak     the long fault campaigns, and 20 minutes of everything at once'
	@echo 'make clean    what was built, not the environment'

setup: $(VENV)/.installed$(FORM)
setup-test: $(VENV)/.installed-test$(FORM)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Oarlock needs Python 3.11 or newer, and \
	$(PYTHON) is " + sys.version.split()[0] + "; name another by PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-as-source: pyproject.toml setup.py | $(VENV)/bin/python
	$(PIP) install --editable .
	rm -f $(VENV)/.installed*
	touch $@

$(VENV)/.installed-test-as-source: pyproject.toml setup.py | $(VENV)/bin/python
	$(PIP) install --editable '.[test,dev]'
	rm -f $(VENV)/.installed*
	touch $(VENV)/.installed-as-source $@

# Editable first, for what is needed to compile, and to have something that works should the compiler fail.
$(VENV)/.installed: $(SOURCES) | $(VENV)/bin/python
	$(PIP) install --editable '.[compile]'
	@$(COMPILED)
	rm -f $(VENV)/.installed*
	touch $@

$(VENV)/.installed-test: $(SOURCES) | $(VENV)/bin/python
	$(PIP) install --editable '.[compile,test,dev]'
	@$(COMPILED)
	rm -f $(VENV)/.installed*
	touch $(VENV)/.installed $@

# build/lib keeps what has not changed; sources that are gone must not stay in it.
define COMPILED
echo 'compiling the hot path: a minute or three the first time, then what has changed'
find build/lib* -name '*.py' -delete 2>/dev/null || true
OARLOCK_COMPILE=1 $(PIP) install --no-deps --no-build-isolation --force-reinstall . || \
  echo 'this does not compile here, and runs as it is: COMPILE=no is the same without the attempt'
endef

run: setup
	$(BIN)/oarlock serve --data-dir data $(ARGS)

test: setup-test
	$(BIN)/pytest -n auto -m 'not soak' $(ARGS)

lint: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Whatever is installed will do: lint reads the sources.
# mypy sees the package as it is installed: one root with its subpackages inside.
types: $(if $(wildcard $(BIN)/mypy $(BIN)/ruff),,setup-test)
	rm -rf $(TYPES) && mkdir -p $(TYPES)
	ln -s $(CURDIR)/client/* $(TYPES)/
	for name in $(SUBPACKAGES); do ln -s $(CURDIR)/$$name $(TYPES)/$$name; done
	MYPYPATH=build/types $(BIN)/mypy -p oarlock

# This compiler's modules run with every protobuf from 4.25 to 7: later ones write modules that refuse an older runtime.
# It has wheels for Python 3.11 and 3.12. The sed gives the modules the pool of oarlock.gateway.proto.
PROTOS := build/protos

$(PROTOS)/venv/bin/python:
	$(PYTHON) -m venv $(PROTOS)/venv
	$@ -m pip --quiet --disable-pip-version-check install 'grpcio-tools==1.62.3' 'setuptools<80'

protos: $(PROTOS)/venv/bin/python
	rm -rf $(PROTOS)/in $(PROTOS)/out && mkdir -p $(PROTOS)/in/oarlock/gateway $(PROTOS)/out
	ln -s $(CURDIR)/gateway/proto $(PROTOS)/in/oarlock/gateway/proto
	$(PROTOS)/venv/bin/python -m grpc_tools.protoc -I $(PROTOS)/in --python_out=$(PROTOS)/out --pyi_out=$(PROTOS)/out \
	  $(PROTOS)/in/oarlock/gateway/proto/*.proto
	sed -i -e 's/^from google.protobuf import descriptor_pool as _descriptor_pool$$/from oarlock.gateway import proto as _proto/' \
	  -e 's/_descriptor_pool\.Default()/_proto.POOL/' $(PROTOS)/out/oarlock/gateway/proto/*_pb2.py
	cp $(PROTOS)/out/oarlock/gateway/proto/* gateway/proto/

bench: setup
	$(BIN)/python -m oarlock.loadgen.suite $(ARGS)

bench-compare: setup-test
	$(BIN)/python -m oarlock.loadgen.compare_suite $(ARGS)

bench-cluster: setup-test
	$(BIN)/python -m oarlock.loadgen.cluster_suite $(ARGS)

# What was measured goes to its place in docs/performance.md at once.
bench-etcd: setup-test
	$(BIN)/python -m oarlock.loadgen.door_suite $(ARGS)
	$(BIN)/python -m oarlock.loadgen.write_page build/etcd.json

bench-etcd-tls: setup-test
	$(BIN)/python -m oarlock.loadgen.door_suite --tls --output build/etcd_tls $(ARGS)
	$(BIN)/python -m oarlock.loadgen.write_page build/etcd_tls.json

growth: setup-test
	$(BIN)/python -m oarlock.loadgen.growth_suite $(ARGS)
	$(BIN)/python -m oarlock.loadgen.growth_page build/growth.json

performance: bench bench-compare bench-cluster
	$(BIN)/python -m oarlock.loadgen.write_page build/bench.json build/compare.json build/cluster.json

soak: setup-test
	$(BIN)/pytest -n auto -m soak --timeout 3600 $(ARGS)

clean:
	rm -rf build dist *.egg-info $(VENV)/.installed* .pytest_cache .mypy_cache .ruff_cache
