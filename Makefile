# Everything a person or a CI service runs. `make help` lists it.
SHELL := /bin/bash
GO    ?= go
PY    ?= python3
TOOLS := $(CURDIR)/.tools

.DEFAULT_GOAL := help
.PHONY: help build ui demo test test-go test-cross test-python test-browser test-deps check cross conformance bench soak clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

build: ## bin/slipway
	$(GO) build -trimpath -o bin/slipway ./cmd/slipway

ui: ## rebuild the interface into web/dist
	cd web && npm ci --no-audit --no-fund && npm run build

demo: build ## the whole loop on real data, then `slipway up`
	examples/flights/demo.sh

test: ## every test: Go with -race, Python, browser
	scripts/test.sh

test-go test-cross test-python test-browser:
	scripts/test.sh $(@:test-%=%)

test-deps: ## install what tests use from the system: Postgres, Chromium
	scripts/test-deps.sh

check: ## format, lint, architecture
	@bad=$$(find . -name node_modules -prune -o -name '.?*' -prune -o -name '*.go' -exec gofmt -l {} +) && test -z "$$bad" || { echo "run gofmt -w on: $$bad"; exit 1; }
	$(GO) vet ./...
	$(GO) test ./internal/arch

cross: ## everything but DuckDB builds without cgo, for macOS and Linux arm64 too
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 $(GO) build -o bin/cross/slipway-linux-amd64 ./cmd/slipway
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -o bin/cross/slipway-darwin-arm64 ./cmd/slipway
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -o bin/cross/slipway-linux-arm64 ./cmd/slipway

conformance: build ## MLflow's own suites against ours, and its answers beside ours: MLFLOW_SOURCE=dir
	conformance/run.sh

bench: build ## benchmarks, side by side with the peers that are installed
	bench/run.sh

soak: ## kill -9 at random moments, many times: make soak MINUTES=30
	scripts/soak.sh $(MINUTES)

clean: ## remove what the build made
	rm -rf bin .tools .venv web/node_modules examples/flights/.venv examples/flights/.demo examples/flights/data
