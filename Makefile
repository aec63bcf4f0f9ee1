# Capstan. `make help` says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN      := bin
OUT      := out
CAPSULES := $(notdir $(patsubst %/,%,$(dir $(wildcard capsules/*/main.go))))
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
MODULE    = go list -m -f '{{.Dir}}'
PICTURES  = "$$($(MODULE) github.com/esimov/pigo)/testdata/sample.jpg" \
            $(foreach p,qrcode-1/1.png qrcode-2.jpg,"$$($(MODULE) github.com/makiuchi-d/gozxing)/qrcode/testdata/$(p)")
PICTURED := detector_motion_background,detector_face_yunet,detector_code_zxing,tracker_bytetrack,encoder_face_mobilefacenet,classifier_face_age,classifier_face_headpose,classifier_color_hsv
PYTHON   := opencv-data python3-grpcio python3-numpy python3-protobuf python3-opencv python3-pytest python3-requests
# Where .ci/setup puts Go on a machine that has none.
export PATH := $(or $(CAPSTAN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/capstan)/go/bin:$(PATH)
# A program under the race detector sleeps for a second before it ends: each capsule of the tests would.
export GORACE ?= atexit_sleep_ms=10
# Tests that take longest begin first, so that nothing waits for them alone at the end.
SLOW     := ./server/cmd/capstan ./server/soak ./pipeline/host ./pipeline/gstreamer ./docs
# Capsules with networks: under the race detector their conformance takes three times as long, and all
# that is concurrent in them is code of sdk, sdk/onnx and sdk/detect, which has tests of its own.
NETWORKS := grep -l '"github.com/capstan-video/capstan/sdk/onnx"' capsules/*/main.go | xargs -n1 dirname
STREET   := /usr/share/doc/opencv-doc/examples/data/vtest.avi

.PHONY: help setup build run test soak fuzz bench score lint generate onnxruntime clean

help: ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

setup: # install what is missing
	@.ci/setup

build: setup ## build the program and the capsules into bin/
	@mkdir -p $(BIN)/capsules
	@go build -ldflags '-X main.version=$(VERSION)' -o $(BIN)/capstan ./server/cmd/capstan
	@for c in $(CAPSULES); do mkdir -p $(BIN)/capsules/$$c; cp capsules/$$c/capsule.yaml $(BIN)/capsules/$$c/; done
	@go build -o $(BIN)/.capsules/ $(addprefix ./capsules/,$(CAPSULES))
	@for c in $(CAPSULES); do mv $(BIN)/.capsules/$$c $(BIN)/capsules/$$c/; done; rmdir $(BIN)/.capsules
	@rm -rf $(BIN)/python; mkdir -p $(BIN)/python; cp -r sdk/python/capstan $(BIN)/python/; find $(BIN)/python -name __pycache__ -prune -exec rm -r {} +

run: build ## run the demo; SOURCE=video.mp4 for your own, CLIP=street for a real street
	@mkdir -p $(OUT)
	@source='$(SOURCE)'; \
	if [ -z "$$source" ] && [ '$(CLIP)' = street ]; then \
	  [ -f $(STREET) ] || .ci/setup opencv-doc; source=$(STREET); \
	elif [ -z "$$source" ]; then \
	  source=$(OUT)/demo-source.mp4; [ -f $$source ] || $(BIN)/capstan scene $$source $(PICTURES); \
	fi; \
	$(BIN)/capstan run "$$source" --json $(OUT)/demo.jsonl --overlay $(OUT)/demo.mp4 $(FLAGS); \
	echo "wrote $(OUT)/demo.jsonl and $(OUT)/demo.mp4"

test: setup ## run every test, with the race detector; networks and whole clips without it
	@.ci/setup ca-certificates curl jq && sdk/onnx/fetch || echo "capstan: tests of capsules with networks will be skipped"
	@.ci/setup $(PYTHON) || echo "capstan: tests of capsules in Python will be skipped"
	@.ci/setup postgresql || echo "capstan: the tests of PostgreSQL will be skipped"
	@if /usr/bin/python3 -c 'import grpc, numpy, google.protobuf, pytest' 2>/dev/null; then \
	  /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider sdk/python examples; \
	else echo "capstan: the tests of sdk/python are skipped: they need $(PYTHON)"; fi
	go test -race -shuffle=on -timeout 20m -p 3 $(SLOW) $$(go list ./... | grep -v /capsules/)
	go test -race -shuffle=on -timeout 15m -p 3 -run Conformance $$(go list ./capsules/... | grep -v -F "$$($(NETWORKS))")
	go test -shuffle=on -timeout 15m ./capsules/... ./sdk/track

soak: build ## try whether a server holds under fault; SOAK=10m says how long, ONLY=kill,disk what, SEED=1 how
	@.ci/setup postgresql || echo "capstan: the check of PostgreSQL will be skipped"
	@mkdir -p $(OUT); go build -o $(OUT)/soak ./server/soak
	@$(OUT)/soak -capstan $(BIN)/capstan -length $(or $(SOAK),10m) $(if $(ONLY),-only $(ONLY)) $(if $(SEED),-seed $(SEED))

fuzz: setup ## feed every decoder of outside input with nonsense; FUZZTIME=30s for each, ONLY=server/httpx where
	@grep -rnoE '^func Fuzz\w+' --include='*_test.go' $(or $(ONLY),.) | sed -E 's|/[^/]*:[0-9]+:func | |' | sort -u | while read -r dir name; do \
	  echo "$$dir $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(or $(FUZZTIME),30s) "./$$dir" || exit 1; \
	done

onnxruntime: ## fetch ONNX Runtime, which capsules with networks need (113 MB)
	@.ci/setup ca-certificates curl
	@sdk/onnx/fetch

score: setup ## score the trackers on the seven sequences of the test data; writes the table to docs/benchmarks.md with KEEP=1
	@.ci/setup python3-numpy python3-scipy
	CAPSTAN_KEEP=$(KEEP) go test -v -count=1 -run '^TestScores$$' ./sdk/track

bench: build ## measure against GStreamer alone, and the server; rewrites docs/benchmarks*.md with KEEP=1
	@.ci/setup $(PYTHON)
	@go run ./pipeline/bench -capstan $(BIN)/capstan $(if $(KEEP),-write docs/benchmarks.md)
	@go run ./server/bench -capstan $(BIN)/capstan $(if $(KEEP),-write docs/benchmarks-server.md)

# gosec's rules that say nothing here: unsafe (cgo and memory that is mapped), errors unhandled (staticcheck and
# vet have theirs), programs and files named by the caller, which is what this program is for.
lint: setup ## formatting, vet, staticcheck, gosec
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go tool -modfile=.ci/tools.mod gosec -quiet -fmt golint -conf .ci/gosec.json -exclude=G103,G104,G204,G304 ./...

generate: setup ## write manifests, wire code and the picture of the plan again
	@.ci/setup protobuf-compiler graphviz
	go generate ./sdk/... ./capsules/... ./server/openapi
	go run ./server/cmd/capstan plan --catalog capsules --active $(PICTURED) --format dot > docs/plan.dot
	dot -Tsvg docs/plan.dot > docs/plan.svg

clean: ## remove what was built and written
	rm -rf $(BIN) $(OUT)
