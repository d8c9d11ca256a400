# pgo: make help lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
# A service is a directory in services/ with a program of its own name in cmd/.
SERVICES := $(patsubst services/%/go.mod,%,$(wildcard services/*/go.mod))
# The modules whose tests take longest come first, so that the others' tests run beside them.
MODULES := deploy/pgo deploy $(SERVICES:%=services/%) bootcheck pkg
BINARIES := pgo stack bootcheck probe wecom engineproxy demo $(SERVICES)
STATIC := CGO_ENABLED=0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# Programs of a development build have no stamp: a commit or an edited file elsewhere must not make a new program of an unchanged
# one, which pgo would reload. VERSION=v1.2.3 stamps them.
STAMPS := -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X pgo/pkg/buildinfo.version=$(VERSION) -X pgo/pkg/buildinfo.commit=$(COMMIT)
GOBUILD := $(STATIC) go build -trimpath -buildvcs=false -ldflags '-s -w $(if $(filter file,$(origin VERSION)),,$(STAMPS))'
TOOL := go tool -modfile=$(CURDIR)/deploy/tools/go.mod

# VERSION=v1.2.3 names all programs; else each is named by the last commit that changed it: docs/decisions/0016-stamps.md.
DIST = GOWORK=off go -C deploy build -o $(CURDIR)/bin/dist ./dist && VERSION='$(if $(filter file,$(origin VERSION)),,$(VERSION))' bin/dist
DIST_PROGRAMS = $(foreach b,$(or $(PROGRAMS),$(BINARIES)),$(b)=$(main_$(b)))

# Where each program's main package is.
main_pgo := ./deploy/pgo
main_stack := ./deploy/stack
main_demo := ./deploy/demo
main_bootcheck := ./bootcheck
main_wecom := ./deploy/wecom
main_engineproxy := ./deploy/engineproxy
main_probe := ./bootcheck/cmd/probe
$(foreach s,$(SERVICES),$(eval main_$(s) := ./services/$(s)/cmd/$(s)))

export MODE PORT_OFFSET PGO_HOME

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-z-]*:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  MODE=native|docker   PORT_OFFSET=1000 moves every port   PGO_HOME=.pgo is where state lives"

##@ Every day

.PHONY: up
up: build ## Bring everything up and print the addresses; installs missing packages
	@bin/stack up

.PHONY: dev
dev: build ## Run make up, then rebuild and reload at every save
	@bin/stack dev

.PHONY: down
down: bin/stack ## Stop everything; data stays
	@bin/stack down

.PHONY: clean
clean: bin/stack ## Stop everything and remove all data, secrets and logs
	@bin/stack clean

.PHONY: status
status: bin/stack ## Print the state and address of every part
	@bin/stack status

.PHONY: logs
logs: ## Print the log of a process, and follow it with f=1: make logs s=user
	@if [ -z "$(s)" ]; then echo 'which process? make logs s=user' >&2; exit 64; fi
	@if [ "$$(cat $${PGO_HOME:-.pgo}/mode 2>/dev/null)" = docker ]; then bin/stack compose exec -T runtime pgo logs $(if $(f),-f) $(s); \
		else bin/pgo logs $(if $(f),-f) $(s); fi

.PHONY: compose
compose: bin/stack ## Run docker compose for this stack: make compose a="restart mysql"
	@bin/stack compose $(a)

.PHONY: certs
certs: bin/stack ## Create the gateway's development certificate, or install certbot's: make certs hosts="api.test"
	@bin/stack certs $(if $(from),--from=$(from),$(hosts))

.PHONY: demo
demo: build ## Fill a school through the API of the running stack and print how to sign in
	@bin/demo

.PHONY: secrets
secrets: bin/stack ## Create the missing secret files
	@bin/stack secrets

##@ Build

.PHONY: build
build: ## Build static programs into bin/
	@mkdir -p bin
	@$(foreach b,$(BINARIES),$(GOBUILD) -o bin/$(b) $(main_$(b)) &&) true

.PHONY: dist
dist: ## Build static programs for linux/amd64 and linux/arm64 into dist/, reproducibly
	@$(DIST) $(if $(ARCH),-arch $(ARCH)) $(DIST_PROGRAMS)

.PHONY: dist-check
dist-check: ## Build the last commit twice in other directories and compare; FRESH=1 compiles all of it twice
	@$(DIST) -check $(if $(FRESH),-fresh) $(DIST_PROGRAMS)

##@ Monitoring

# The parsers of PromQL and LogQL bring hundreds of modules: deploy/monitor stays outside of the workspace, so that they do not
# decide the versions of services.
MONITOR := cd deploy/monitor && GOWORK=off go

.PHONY: rules
rules: ## Generate the SLO rules and the boards
	@$(MONITOR) run . rules && GOWORK=off go run . boards

.PHONY: record-metrics
record-metrics: ## Record the metrics of the running stack (native mode, all exporters installed)
	@$(MONITOR) run . record

.PHONY: check-monitoring
check-monitoring: bin/stack ## Check rules, tests, runbooks and boards, with the distribution's promtool and a 3.x one
	@bin/stack install --tests
	@$(MONITOR) run . check
	@promtool check rules deploy/prometheus/rules/*.yml deploy/prometheus/rules/compose/*.yml >/dev/null
	@promtool test rules deploy/prometheus/tests/*.yml deploy/prometheus/tests/compose/*.yml >/dev/null || promtool test rules deploy/prometheus/tests/*.yml deploy/prometheus/tests/compose/*.yml
	@tool=$$($(MONITOR) tool -n promtool) && $$tool check rules deploy/prometheus/rules/*.yml deploy/prometheus/rules/compose/*.yml >/dev/null && \
		$$tool test rules deploy/prometheus/tests/*.yml deploy/prometheus/tests/compose/*.yml >/dev/null

.PHONY: alert-test
alert-test: bin/stack ## Send an alert to stubs of mail and WeCom
	@bin/stack install --tests
	@$(MONITOR) test -count=1 -v -run TestAlertsArriveAndResolve ./delivery

##@ Images

# One image a service, for deployments without the runtime container: pgo/user:VERSION-amd64 and -arm64, and the services' gate.
# Docker's old builder cannot build for another architecture: this needs BuildKit (the plugin buildx).
IMAGES := bootcheck $(SERVICES)
IMAGE_PREFIX ?= pgo/
.PHONY: images
images: dist ## Build one image a service for linux/amd64 and linux/arm64
	@for arch in amd64 arm64; do $(foreach i,$(IMAGES),tar --create dist/linux-$$arch/$(i) configs deploy/images/Dockerfile | \
		docker build --quiet --platform linux/$$arch --build-arg SERVICE=$(i) --build-arg ARCH=$$arch -f deploy/images/Dockerfile \
		-t $(IMAGE_PREFIX)$(i):$(VERSION)-$$arch - >/dev/null && echo $(IMAGE_PREFIX)$(i):$(VERSION)-$$arch &&) true || exit 1; done

##@ Test

.PHONY: test-alerts
test-alerts: build ## Break a running stack in many ways and wait for each alert to arrive and to end
	@bin/stack install --tests
	@cd deploy/e2e && go test -tags alerts -run '^TestAlerts$$' -count=1 -timeout 40m -v .

# It needs loki, jaeger and otelcol-contrib on the PATH, and root to fill a disk of its own.
.PHONY: test-telemetry
test-telemetry: build ## Test logs and traces with real Loki, Jaeger and collector, and with full disks
	@bin/stack install --tests
	@cd deploy/e2e && go test -tags collected -run '^TestCollected|^TestFullDisk$$' -count=1 -timeout 40m -v .

# ARGS="-faults.only=redis" injects some of the faults only; the flags are in deploy/e2e/faults_test.go.
.PHONY: test-faults
test-faults: build ## Break one part after the other under load, and compare the databases with what was acknowledged
	@bin/stack install --tests
	@cd deploy/e2e && go test -tags faults -run '^TestFaults' -count=1 -timeout 60m -v . $(if $(ARGS),-args $(ARGS))

.PHONY: test
test: build ## Test everything on real servers; installs missing packages
	@bin/stack install --tests
	@bin/stack with-servers -- $(MAKE) --no-print-directory test-modules

# Third-party code that computes without sharing memory is not instrumented: hashing a password would take twice the time.
RACE := -race '-gcflags=golang.org/x/crypto/...=-race=false -d=checkptr=0'

# $(call test-packages,ARGS,STANDALONE) runs go test ARGS on the packages of MODULES, and prints the ten slowest tests. The module
# STANDALONE is outside of the workspace and runs without the race detector.
GOTESTSUM = $(CURDIR)/bin/gotestsum --format standard-quiet --jsonfile
define test-packages
@cd deploy/tools/ci && GOWORK=off go build -o $(CURDIR)/bin/gotestsum gotest.tools/gotestsum
@runs=$$(mktemp -d) || exit 1; trap 'rm -rf "$$runs"' EXIT; failed=; \
	$(GOTESTSUM) "$$runs/workspace" -- $(1) $(MODULES:%=./%/...) || failed="$$failed workspace"; \
	$(if $(2),(cd $(2) && GOWORK=off $(GOTESTSUM) "$$runs/standalone" -- $(filter-out $(RACE),$(1)) ./...) || failed="$$failed $(2)";) \
	echo "The ten slowest tests:"; cat "$$runs"/* | bin/gotestsum tool slowest --threshold 0s --num 10; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi
endef

# Without servers named in PGO_TEST_* each test program starts its own.
.PHONY: test-modules
test-modules:
	$(call test-packages,$(RACE) -count=1 -parallel 8 -timeout 40m,deploy/monitor)

# Long tests, and those that kill servers or need a browser, skip themselves with -short. Results are cached.
.PHONY: test-quick
test-quick: build ## Test what takes no minutes: no end-to-end tests, killed servers or browsers, no race detector
	@bin/stack install --tests
	@bin/stack with-servers -- $(MAKE) --no-print-directory test-quick-modules

.PHONY: test-quick-modules
test-quick-modules:
	$(call test-packages,-short -parallel 4 -timeout 10m)

# The image of docker-compose.yml; another one: MYSQL_IMAGE=mysql:9.7 make test-mysql
MYSQL_IMAGE ?= $(shell sed -n 's/^    image: \(mysql:.*\)/\1/p' docker-compose.yml)
.PHONY: test-mysql
test-mysql: build ## Test all SQL on the MySQL image of docker-compose.yml; needs a Docker engine
	@bin/stack install --tests
	@bin/stack with-servers --mysql-image=$(MYSQL_IMAGE) -- \
		$(MAKE) --no-print-directory test-modules MODULES="pkg bootcheck $(SERVICES:%=services/%)"

.PHONY: test-compose
test-compose: build ## Test the containers; needs a Docker engine, and root to kill processes in them
	@cd deploy/e2e && go test -tags compose -run '^TestCompose' -count=1 -timeout 120m .

.PHONY: test-certbot
test-certbot: build ## Test certbot's container against Pebble; needs a Docker engine
	@cd deploy/e2e && go test -tags compose -run '^TestCertbotContainer$$' -v -count=1 -timeout 20m .

.PHONY: compose-figures
compose-figures: build ## Print the time of make up in containers, and the memory of each container
	@cd deploy/e2e && go test -tags compose -run '^TestComposeFigures$$' -v -count=1 -timeout 20m .

##@ Check

.PHONY: lint
lint: words ## Check words, format, vet and golangci-lint
	@unformatted=$$(gofmt -l $(MODULES) deploy/monitor); if [ -n "$$unformatted" ]; then echo "not gofmt'ed:" $$unformatted >&2; exit 1; fi
	@for m in $(MODULES); do echo "lint $$m"; (cd $$m && go vet ./... && GOWORK=off $(TOOL) golangci-lint run --allow-parallel-runners --build-tags compose,alerts,telemetry,collected,faults ./...) || exit 1; done
	@echo lint deploy/monitor; $(MONITOR) vet ./... && GOWORK=off $(TOOL) golangci-lint run --allow-parallel-runners ./...

.PHONY: words
words: ## Check the words of comments, messages and pages, and the links of pages
	@cd deploy && go run ./lint/words -root $(CURDIR)

.PHONY: check
check: lint pipelines check-monitoring ## Check that modules build alone and together and that generated files are current
	@for m in $(MODULES); do echo "build $$m"; (cd $$m && go build -o /dev/null ./... && GOWORK=off go build -o /dev/null ./... && GOWORK=off go mod tidy -diff) || exit 1; done
	@before=$$(mktemp -d) && trap 'rm -rf "$$before"' EXIT && \
		for s in $(SERVICES); do cp services/$$s/openapi/swagger.json $$before/$$s || exit 1; done && \
		$(MAKE) --no-print-directory openapi && \
		for s in $(SERVICES); do diff $$before/$$s services/$$s/openapi/swagger.json || \
			{ echo "$$s: the specification differs from the handlers: make openapi" >&2; exit 1; }; done

# The tools of CI have their own go.mod, so that they do not change the versions that golangci-lint and swag are built with.
CI_TOOL := cd deploy/tools/ci && GOWORK=off go tool

.PHONY: pipelines
pipelines: ## Check the files of GitHub's and GitLab's pipelines
	@$(CI_TOOL) actionlint -shellcheck= -pyflakes=
	@cd deploy/pipelines && go test -count=1 ./...

# govulncheck ends with 3 after a finding. A scan that could not run is not a success.
.PHONY: scan
scan: ## Search the history for secrets (gitleaks) and the linked modules for known vulnerabilities (govulncheck)
	@$(CI_TOOL) gitleaks git --no-banner --redact --log-level warn --verbose --log-opts='--full-history HEAD' $(CURDIR) && echo "gitleaks: no secrets in the history"
	@look=$$(cd deploy/tools && GOWORK=off go tool -n govulncheck) || exit 1; found=; \
		for m in $(MODULES) deploy/monitor; do echo "govulncheck $$m"; (cd $$m && GOWORK=off $$look $(if $(GOVULNDB),-db '$(GOVULNDB)') ./...); \
			case $$? in 0) ;; 3) found="$$found $$m";; *) echo "govulncheck could not run: it needs https://vuln.go.dev, or the copy that GOVULNDB names: docs/ci.md" >&2; exit 69;; esac; done; \
		if [ -n "$$found" ]; then echo "known vulnerabilities in:$$found" >&2; exit 1; fi

.PHONY: ci
ci: check test dist dist-check scan ## Run what CI runs before a deploy

##@ Deploy

# The pgo of dist/ for the architecture of the machine that deploys.
PGO := dist/linux-$(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)/pgo
# Artifacts of CI lose their file mode.
.PHONY: may-run
may-run:
	@if [ -z "$(TO)" ]; then echo 'where to? TO=user@host' >&2; exit 64; fi
	@if [ ! -f $(PGO) ]; then echo 'there is no $(PGO): make dist' >&2; exit 69; fi
	@chmod +x dist/linux-*/*

.PHONY: deploy
deploy: may-run ## Deploy dist/ to a host: make deploy TO=host
	@cd dist && sha256sum --quiet --strict -c SHA256SUMS
	@$(PGO) deploy --to '$(TO)' --json

.PHONY: verify
verify: may-run ## Check from outside that a host's services are ready: make verify TO=host URL=https://example.org
	@if [ -z "$(URL)" ]; then echo 'where is its gateway? URL=https://example.org' >&2; exit 64; fi
	@$(PGO) releases --to '$(TO)'
	@for s in $(SERVICES); do curl --silent --show-error --fail --max-time 10 --retry 3 --retry-connrefused --output /dev/null '$(URL)'/services/$$s/readyz && \
		echo "$$s is ready" || { echo "$$s is not ready at $(URL)" >&2; exit 1; }; done

.PHONY: roll-back
roll-back: may-run ## Roll back the last deploy of a host: make roll-back TO=host
	@$(PGO) rollback --to '$(TO)'

##@ Generate and measure

.PHONY: openapi
openapi: ## Generate the services' specifications from their handlers
	@for s in $(SERVICES); do (cd services/$$s && GOWORK=off $(TOOL) swag init -q -g api.go \
		-d httpapi,.,../../pkg/problem,../../pkg/page -o openapi --outputTypes json) || exit 1; done

.PHONY: schema
schema: ## Generate the JSON Schema of the process file from its structs
	@cd deploy/pgo && go test ./internal/processfile -run TestSchema -count=1 -update

.PHONY: bench-pgo
bench-pgo: ## Measure pgo beside PM2 into docs/benchmarks.md; ARGS=-full runs all of it
	@$(MAKE) --no-print-directory build VERSION='$(VERSION)'
	@$(GOBUILD) -o bin/bench ./deploy/bench
	@bin/bench -pgo bin/pgo -out docs/benchmarks.md $(ARGS)

.PHONY: bench-telemetry
bench-telemetry: build ## Print the cost of telemetry under load; ARGS="-load.for=1h" for longer
	@bin/stack install --tests
	@cd deploy/e2e && go test -tags telemetry -run '^TestTelemetry$$' -count=1 -timeout 3h -v . $(if $(ARGS),-args $(ARGS))

.PHONY: test-systemd
test-systemd: ## Test host setup and deploys under a real systemd in namespaces; needs root, nftables and iproute2
	@cd deploy/pgo && go test -tags systemd -run '^TestHostSetup$$|^TestSystemdHost' -count=1 -timeout 20m -v ./e2e

# It uses the stack that runs here. ARGS=-full is 50 deploys under load.
.PHONY: bench-deploy
bench-deploy: ## Measure pgo deploy beside scp and rsync, on the stack that make up MODE=native has brought up
	@cd deploy/pgo && $(if $(findstring -full,$(ARGS)),PGO_BENCH_DEPLOYS=50 PGO_BENCH_CHANGES=10 PGO_BENCH_ROLLBACKS=10) \
		go test -tags bench -run '^TestBenchDeploy$$' -count=1 -timeout 120m -v ./e2e

bin/stack:
	@mkdir -p bin
	@$(GOBUILD) -o $@ $(main_stack)
