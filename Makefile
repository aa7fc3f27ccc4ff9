# See CONTRIBUTING.md for what each target is for.
DURATION ?= 30m
FUZZTIME ?= 30s
SCALE    ?= 1

.PHONY: help build demo check test soak fuzz bench capture

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

build: ## the daemon, as bin/cdcd
	go build -trimpath -o bin/cdcd ./cmd/cdcd

demo: ## the main job on real servers (DEMO=mariadb, KEEP=1)
	@go build -trimpath -o bin/demo ./internal/proof/demo
	@exec bin/demo

check: ## format, vet, staticcheck, tidy modules, the rules of the house
	@test -z "$$(gofmt -l .)" || { echo "gofmt these:"; gofmt -l .; exit 1; }
	go vet ./...
	go vet -tags failpoints ./...
	go tool staticcheck ./...
	go mod tidy -diff
	go test ./internal/lint

# The proofs run the daemon as a process of its own; the race detector belongs
# in there (TestMirror builds the daemon with it), not in the judge.
test: ## everything the project claims, on real servers, with the race detector
	go test -race -shuffle=on -timeout 30m $$(go list ./... | grep -v internal/proof)
	go test -shuffle=on -timeout 30m ./internal/proof/...

soak: ## the proofs for long: make soak DURATION=2h
	CDCD_SOAK=$(DURATION) go test -timeout 0 -count=1 -v -run 'Soak' ./internal/proof ./sink/kafka

fuzz: ## every fuzz target for FUZZTIME
	@for pkg in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "== $$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; done

bench: ## speed and memory beside go-mysql, as JSON lines (SCALE=1 is the reference log)
	go run ./bench -scale $(SCALE)

capture: ## Debezium itself recorded again, and compared with the records the tests use
	go run ./internal/proof/record
