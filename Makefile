# Every target sets up what it needs. One optimised profile serves them all, so nothing is compiled twice.
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
# Models are fetched once, by package name, into the build folder; set TAMIS_CACHE to share them between checkouts.
export TAMIS_CACHE ?= $(TARGET)/models

.PHONY: build demo test lint bench

build:
	$(CARGO) build --release

demo: build
	rm -rf $(TARGET)/demo
	$(TARGET)/release/tamis demo --out $(TARGET)/demo

test:
	$(CARGO) test --release --workspace

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	@echo "crates in the default build: $$($(CARGO) tree -p tamis-cli -e normal,build --prefix none --no-dedupe | sed 's/ (.*//' | sort -u | wc -l) (aim: under 280)"

bench: build
	bash bench/run.sh
