# MasCRI. "make" alone lists what can be done; README.md says what to do first.

GO           ?= go
DOCKER       ?= docker
DESTDIR      ?=
PREFIX       ?= /usr/local
CNI_BIN_DIR  ?= /opt/cni/bin
CNI_CONF_DIR ?= /etc/cni/net.d
FUZZTIME     ?= 20s
BENCHRUNS    ?= 200
TESTFLAGS    ?=
STATICCHECK  ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The plugins are started for every pod, so they carry no symbols, and nothing
# is linked dynamically: a runtime may start them where there is no libc.
export CGO_ENABLED ?= 0
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := $(GO) build -trimpath -buildvcs=false -ldflags
BIN     ?= bin

PLACES = --destdir '$(DESTDIR)' --prefix '$(PREFIX)' --cni-bin-dir '$(CNI_BIN_DIR)' --cni-conf-dir '$(CNI_CONF_DIR)'

# Tests look at the kernel, which Go's cache of test results knows nothing of.
TEST = $(GO) test -count=1 -timeout 20m $(TESTFLAGS)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

# netplug is told which program ipam is: that one it need not start (spec/linked.go).
.PHONY: plugins
plugins:
	$(BUILD) '$(LDFLAGS)' -o $(BIN)/ ./cmd/ipam ./cmd/loopback ./cmd/portmap
	id=$$($(GO) tool buildid $(BIN)/ipam) && $(BUILD) "$(LDFLAGS) -X main.ipamBuildID=$$id" -o $(BIN)/ ./cmd/netplug

.PHONY: build
build: plugins ## build the daemon and the plugins into bin/
	$(BUILD) '$(LDFLAGS)' -o $(BIN)/ ./cmd/mascri

.PHONY: demo
demo: build ## two pods, step by step, on this machine (root)
	bin/mascri demo

.PHONY: test
test: build ## all tests; installs what they need (root)
	bin/mascri with --engine --test-tools -- $(TEST) -tags 'privileged e2e' ./...

.PHONY: test-unit
test-unit: ## the tests that need nothing
	$(TEST) ./...

# Without root, a user namespace of one's own gives every right over a network
# namespace of one's own. Inside there is no network but the loopback device, which a
# new namespace has down: modules are fetched first, and so are the reference plugins,
# which that package builds before its tests.
.PHONY: test-privileged
test-privileged: ## the tests that change a kernel's network, each in its own namespace
ifeq ($(shell id -u),0)
	$(MAKE) --no-print-directory build
	bin/mascri with --test-tools -- $(TEST) -tags privileged ./...
else
	$(GO) mod download
	$(TEST) -tags privileged -run '^$$' ./test/differential
	unshare -Urnm sh -c 'ip link set lo up && mount -t tmpfs tmpfs /run && exec "$$@"' sh $(TEST) -tags privileged ./...
endif

.PHONY: test-e2e
test-e2e: build ## the tests with a real daemon and a real Docker engine (root)
	bin/mascri with --engine --test-tools -- $(TEST) -tags e2e ./test/... ./cri/...

# Whether a bridge can filter VLANs is up to whoever built the kernel.
.PHONY: test-vlan
test-vlan: ## the tests of VLANs, on Debian's kernel in an emulator: three minutes or so (root)
	CGO_ENABLED=0 $(TEST) -tags vlan -v ./test/vlan

.PHONY: race
race: ## the tests that need no engine, with the race detector; -short leaves out what only waits for processes
	CGO_ENABLED=1 $(TEST) -race -short $(if $(filter 0,$(shell id -u)),-tags privileged) ./...

# Until Go 1.27 a run whose time is up may end with "context deadline exceeded" and no
# input that fails (go.dev/issue/75804): it has found nothing, and is repeated.
.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT && \
	grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			for try in 1 2 3; do \
				echo "fuzz $$target in $$(dirname "$$file")"; \
				$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" >"$$log" 2>&1; \
				status=$$?; cat "$$log"; \
				grep -qx ' *context deadline exceeded' "$$log" && ! grep -q 'Failing input' "$$log" || break; \
			done; \
			[ $$status -eq 0 ] || exit 1; \
		done; \
	done

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, shellcheck
	@unformatted=$$(gofmt -l cmd cri ipam netplug spec test); test -z "$$unformatted" || { echo "gofmt -w these:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags 'privileged e2e bench vlan' ./...
	$(GO) run $(STATICCHECK) -tags 'privileged e2e bench vlan' ./...
	shellcheck .ci/run

.PHONY: darwin
darwin: ## what can be compiled on a Mac
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...

.PHONY: install-plugins
install-plugins: build ## the plugins, and a network where there is none (DROP_IN=1: under the reference's names too)
	bin/mascri install --plugins-only $(if $(DROP_IN),--drop-in) $(PLACES)

.PHONY: uninstall-plugins
uninstall-plugins: build ## take back what install-plugins installed
	bin/mascri uninstall --plugins-only $(PLACES)

.PHONY: install
install: build ## the plugins, the daemon and its systemd unit (PREFIX)
	bin/mascri install $(PLACES)

.PHONY: uninstall
uninstall: build ## take back what install installed
	bin/mascri uninstall $(PLACES)

# The image is for the engine's machine, which need not be like this one.
.PHONY: image
image: ## build the daemon's container image, from nothing but its programs
	GOOS=linux GOARCH=$$($(DOCKER) version --format '{{.Server.Arch}}') $(MAKE) --no-print-directory build BIN=bin/image
	$(DOCKER) build --quiet --file cmd/mascri/Dockerfile --tag mascri .

# What the container shares with the engine's machine: the engine's socket; its
# network namespaces, new ones as they appear (rslave); the pods' resolv.conf in
# its data directory; and our pins of those namespaces, which must be seen
# outside and outlive the container (rshared). Where the engine itself has not
# every privilege, PRIVILEGES can name those that are needed; see docs/mac.md.
PRIVILEGES ?= --privileged
.PHONY: run-in-docker
run-in-docker: image ## run the daemon in a container on the engine's machine
	$(DOCKER) run --detach --name mascri $(PRIVILEGES) --pid host --network host \
		--volume /var/run/docker.sock:/var/run/docker.sock \
		--volume /var/run/docker/netns:/var/run/docker/netns:rslave \
		--volume $$($(DOCKER) info --format '{{.DockerRootDir}}:{{.DockerRootDir}}') \
		--volume /run/mascri:/run/mascri:rshared \
		--volume /var/lib/mascri:/var/lib/mascri \
		--volume /var/lib/cni:/var/lib/cni \
		--volume /etc/cni/net.d:/etc/cni/net.d:ro \
		mascri
	@echo "the daemon listens on /run/mascri/mascri.sock of the engine's machine"
	@echo "its log: $(DOCKER) logs -f mascri    its end: $(DOCKER) rm -f mascri"

# The full size is 200 pods: about ten minutes on two cores.
SOAKPODS ?= 200
.PHONY: soak
soak: build ## SOAKPODS pods, with the daemon killed at random; writes docs/measurements.md (root)
	bin/mascri with --engine --test-tools -- $(TEST) -timeout 60m -tags e2e -v -run '^TestSoak$$' ./test -args -soak-pods $(SOAKPODS) -o '$(CURDIR)/docs/measurements.md'

.PHONY: bench
bench: build ## measure beside the reference plugins and Docker; writes docs/measurements.md (root)
	bin/mascri with --test-tools -- $(TEST) -timeout 60m -tags bench -v ./test/bench -args -n $(BENCHRUNS) -o '$(CURDIR)/docs/measurements.md'
	bin/mascri with --engine --test-tools -- $(TEST) -timeout 60m -tags 'e2e bench' -v -run '^TestBench' ./test -args -n $(BENCHRUNS) -o '$(CURDIR)/docs/measurements.md'
