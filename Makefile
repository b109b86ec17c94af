# Lifeboat's tasks. `make help` lists them; `make demo` and `make test` are the two to begin with.

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
ENV    := $(TARGET)/test-env
HOST   := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
ARCH   ?= arm64

# The first Python that is new enough for the official client, 3.11.
ifndef PYTHON
PYTHON := $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
            $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
endif
NPM := $(shell command -v npm 2>/dev/null)

DENY_VERSION := 0.20.2
DENY_ROOT    := $(TARGET)/tools/cargo-deny-$(DENY_VERSION)
DENY         := $(DENY_ROOT)/bin/cargo-deny

# The same build for everyone, whatever the shell has set; and no test may find a real account's keys.
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS RUSTDOCFLAGS CARGO_BUILD_TARGET
unexport TURBOPUFFER_API_KEY TURBOPUFFER_REGION TURBOPUFFER_BASE_URL
unexport ZILLIZ_API_KEY ZILLIZ_CONFIG_DIR ZILLIZ_CLOUD_TOKEN ZILLIZ_CLOUD_URI
unexport AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_ENDPOINT_URL

section = @printf '\n== %s\n' "$(1)"

# How much `make simulate` plays; a release is given these.
HISTORIES ?= 100000
CASES     ?= 10000000
REPEATS   ?= 10000
PLANTED   ?= 300

.PHONY: help check-tools demo test test-rust test-histories test-python simulate check check-rust check-planted check-deny check-deployment package \
        test-package clean-test-env
.NOTPARALLEL:

help: ## Lists the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Lives through two weeks of nightly backups on the built-in emulator
	@cargo run --quiet --bin lifeboat -- demo

# The Python tests wait more than they work, so most of the simulation is played beside them. On a slow machine time runs
# out before the last history, and the test says how many there were.
FIRST_HISTORIES := 150
LAST_HISTORY    ?= 2000
MINUTES         ?= 9
test: test-rust ## Runs every test: Rust, official clients, and the whole chain on a local AWS
	@log=$(TARGET)/histories.log; \
	 nice -n 19 $(MAKE) --no-print-directory test-histories > $$log 2>&1 & histories=$$!; \
	 $(MAKE) --no-print-directory test-python || { kill $$histories; exit 1; }; \
	 printf '\n== More histories\n'; wait $$histories; failed=$$?; cat $$log; exit $$failed

test-rust:
	$(call section,Rust)
	LIFEBOAT_HISTORIES=$(FIRST_HISTORIES) cargo test --workspace -- --show-output # and with it, how many cases were played

test-histories: # after test-rust, which has played the first ones
	LIFEBOAT_PLAYED=$(FIRST_HISTORIES) LIFEBOAT_HISTORIES=$(LAST_HISTORY) LIFEBOAT_MINUTES=$(MINUTES) \
	    cargo test --package lifeboat --test it -- --nocapture --exact \
	    histories::no_history_loses_what_the_policy_needs \
	    clusters::histories::weeks_of_trouble_make_one_of_each_and_leave_no_region_silently_unprotected

ifeq ($(PYTHON),)
test-python:
	$(call section,Official clients and the local AWS)
	@echo "skipped: no Python 3.11 or newer, which the official client and the local AWS need"
else
test-python: $(ENV)/ready tests/node_modules/ready
	$(call section,Official clients and the local AWS)
	cargo build --workspace --bins --tests # with the tests, or their features would have half of it built a second time
	@LIFEBOAT_TARGET=$(TARGET) $(ENV)/bin/python -m pytest -o cache_dir=$(ENV)/pytest -rs -n 3 --dist loadfile $(wildcard tests/clients) tests/aws
endif

simulate: ## Plays ten thousand years of backups, plants every known bug, and writes target/simulation.md; hours
	@python3 tests/tools/simulate.py --histories $(HISTORIES) --cases $(CASES) --repeats $(REPEATS) --planted $(PLANTED)

check: check-rust check-planted check-deny check-deployment ## Format, lints, documentation, planted bugs, licences, templates

check-rust:
	$(call section,Format; lints; documentation)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --no-default-features --bin bootstrap --test it -- -D warnings # planted bugs are hunted in tests without a terminal
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

check-planted:
	$(call section,Planted bugs)
	python3 tests/planted/run.py --check

ifneq ($(PYTHON),)
check-tools: $(ENV)/ready
endif
check-tools: $(DENY)

check-deny: $(DENY)
	$(call section,Licences; banned crates; sources)
	$(DENY) check bans licenses sources

ifeq ($(PYTHON),)
check-deployment:
	$(call section,Template and Terraform)
	@echo "skipped: no Python 3.11 or newer"
else
check-deployment: $(ENV)/ready
	$(call section,Template and Terraform)
	$(ENV)/bin/python tests/tools/check_template.py
	$(ENV)/bin/python tests/tools/check_terraform.py
	$(ENV)/bin/python -m pytest -q -o cache_dir=$(ENV)/pytest -n 2 tests/tools
endif

PACKAGE := $(TARGET)/package/$(ARCH)
package: $(ENV)/ready ## Builds the function as a zip file for Lambda; ARCH=arm64 (the default) or x86_64
	$(if $(filter arm64 x86_64,$(ARCH)),,$(error ARCH is $(ARCH), and must be arm64 or x86_64))
	@target=$(if $(filter arm64,$(ARCH)),aarch64,x86_64)-unknown-linux-gnu; \
	 test -d "$$(rustc --print target-libdir --target $$target)" || rustup target add $$target
	PATH="$(ENV)/bin:$$PATH" cargo lambda build --release --$(if $(filter arm64,$(ARCH)),arm64,x86-64) \
	    --no-default-features --bin bootstrap --output-format zip --lambda-dir $(PACKAGE)
	@ls -lh $(PACKAGE)/bootstrap/bootstrap.zip

test-package: $(ENV)/ready ## Runs the package for this machine, as it is deployed, on the local AWS; before a release
	@$(MAKE) --no-print-directory package ARCH=$(HOST)
	cargo build --workspace --bins
	LIFEBOAT_PACKAGE=$(TARGET)/package/$(HOST)/bootstrap/bootstrap.zip LIFEBOAT_TARGET=$(TARGET) \
	    $(ENV)/bin/python -m pytest -o cache_dir=$(ENV)/pytest -rs -n 2 --dist loadfile tests/aws

clean-test-env: ## Removes what `make test` installed
	rm -rf $(ENV) tests/node_modules

# What isn't Rust, in folders of its own; made again when the list of it changes.
$(ENV)/ready: tests/requirements.txt
	$(call section,Python packages (once))
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed"; exit 1; }
	@rm -rf $(ENV)
	@$(PYTHON) -m venv $(ENV) || { echo "Python can't make an environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(ENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --requirement tests/requirements.txt
	@touch $@

tests/node_modules/ready: tests/package.json tests/package-lock.json
ifeq ($(NPM),)
	$(call section,Node packages)
	@echo "skipped: no npm, so the tests with the TypeScript client are skipped too"
else
	$(call section,Node packages (once))
	@$(NPM) ci --prefix tests --silent --no-audit --no-fund && touch $@
endif

$(DENY):
	$(call section,cargo-deny $(DENY_VERSION) (once; two minutes))
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --debug --quiet --locked --root $(DENY_ROOT) cargo-deny@$(DENY_VERSION)
