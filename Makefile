# SPDX-License-Identifier: GPL-2.0
#
# Implicit-fence polling on dma-buf: see README.md, and `make help`. That prints what
# stands behind "##" here.

BASE	?= 6.12
VARIANT	?= rework
DEBUG	?=
KCSAN	?=
RT	?=
NOSMP	?=
KSRC	?=
TOPIC	?=

export DEBUG KCSAN RT NOSMP KSRC
MAKEFLAGS += --no-print-directory
T := tools/dma-buf-poll

.PHONY: all help run test test-all tree kernel selftest shell kunit model litmus test-debug \
	coverage mutants steps bench clients bench-compare htmldocs check igt igt-stock audit \
	audit-patches deps topics series send-check backport-report readme refresh clean distclean
.DELETE_ON_ERROR:

all: help

help:
	@awk -v bases="$$(awk '!/^#/ && NF { print $$1 }' $(T)/tree/bases | paste -sd' ')" ' \
		sub(/^##@ /, "") { print (n++ ? "\n" : "") $$0 } \
		sub(/^##  /, "  ") { sub(/@bases/, bases); print } \
		/^[a-z-]+:.*## / { name = $$1; sub(/:.*/, "", name); sub(/^.*## /, ""); \
				   printf "  %-15s %s\n", name, $$0 }' Makefile

##@ The main jobs:
run: ## from nothing to the table: the stock kernel beside each series
	@$(T)/deps.sh
	@$(T)/test/run.sh '$(BASE)'

test: ## the test suite, ends with "N passed, N failed, N skipped"
	@$(T)/deps.sh build check docs
	@$(T)/test/test.sh '$(BASE)'

test-all: ## the same for every base
	@$(T)/deps.sh build check docs
	@$(T)/test/test.sh all

##@ Step by step:
tree: ## base and patches as a git tree in build/BASE/src, to work in
	@$(T)/deps.sh
	@$(T)/tree/compose.sh '$(BASE)'

kernel: ## a kernel of VARIANT, built in obj/ below its source
	@$(T)/deps.sh
	@$(T)/kernel/kernel.sh '$(BASE)' '$(VARIANT)'

selftest: ## boot it and run the kselftest; TESTS="poll" names some of them
	@$(T)/deps.sh
	@$(T)/test/selftest.sh '$(BASE)' '$(VARIANT)' $(TESTS)

shell: ## boot it and give a shell
	@$(T)/deps.sh
	@$(T)/vm/shell.sh '$(BASE)' '$(VARIANT)'

kunit: ## the KUnit suite under UML, natively
	@$(T)/deps.sh
	@$(T)/test/kunit.sh '$(BASE)'

model: ## check the protocol exhaustively, with spin
	@$(T)/deps.sh build check
	@$(T)/model/model.sh

litmus: ## check the memory ordering, with herd7; TESTS="owed*" names some of them
	@$(T)/deps.sh
	@$(T)/model/litmus.sh $(foreach t,$(TESTS),'$(t)')

test-debug: ## all tests under lockdep, KASAN, KCSAN, PREEMPT_RT, on one CPU
	@$(T)/deps.sh
	@$(T)/test/test-debug.sh '$(BASE)' '$(VARIANT)' $(RUNS)

coverage: ## which lines and branches of dma-buf-poll.c the tests reach
	@$(T)/deps.sh
	@$(T)/test/coverage.sh '$(BASE)'

mutants: ## break dma-buf-poll.c on purpose, see which test notices
	@$(T)/deps.sh
	@$(T)/test/mutants.py '$(BASE)' $(if $(MUTANTS),'$(MUTANTS)')

steps: ## the contract after each patch; STEPS="..." names some, MESSAGE=1
##                  says for each what it changes, as for a commit message
	@$(T)/deps.sh
	@$(T)/test/steps.py '$(BASE)' $(if $(MESSAGE),--message) $(foreach s,$(STEPS),'$(s)')

bench: ## what polling costs, in guest instructions, stock against VARIANT
	@$(T)/deps.sh build bench
	@$(T)/bench/bench.sh '$(BASE)' '$(VARIANT)'

clients: ## the event loops people use, stock against VARIANT; CLIENTS="..."
	@$(T)/deps.sh
	@$(T)/clients/clients.sh '$(BASE)' '$(VARIANT)' $(CLIENTS)

bench-compare: ## two of those, A=... B=...: bases, directories or results.tsv
	@$(T)/bench/bench_report.py --compare '$(A)' '$(B)'

htmldocs: ## the documentation as HTML in build/BASE/htmldocs/
	@$(T)/deps.sh build docs
	@$(T)/check/htmldocs.sh '$(BASE)'

check: ## static checks on what the series adds, and on the harness
	@$(T)/deps.sh build check
	@$(T)/check/check.sh '$(BASE)'

igt: ## IGT's view of it, in the guest; SUBTESTS="vgem-*" names some of them
	@$(T)/deps.sh build igt
	@$(T)/igt/igt.sh '$(BASE)' '$(VARIANT)' $(foreach s,$(SUBTESTS),'$(s)')

igt-stock: ## the tests IGT has already, stock against series
	@$(T)/deps.sh build igt
	@$(T)/igt/igt-stock.sh '$(BASE)' $(foreach s,$(TESTS),'$(s)')

audit: ## the semantic patches over the tree of BASE: what is new;
##                  RULES="..." names some of them
	@$(T)/deps.sh build audit
	@$(T)/tree/compose.sh '$(BASE)'
	@$(T)/audit/audit.py '$(BASE)' $(foreach r,$(RULES),--rule '$(r)')

audit-patches: ## do the patches of patches/BASE-drivers apply and compile?
	@$(T)/deps.sh build check
	@$(T)/tree/compose.sh '$(BASE)'
	@$(T)/audit/drivers-check.sh '$(BASE)'

deps: ## install the Debian packages all of this needs
	@$(T)/deps.sh build check docs

##@ To send; topics and series need neither a kernel nor a package:
topics: ## what can be sent: the names of the topics of BASE
	@$(T)/tree/series.py '$(BASE)' --topics

series: ## mail-ready patches in build/BASE/series/TOPIC/
	@$(T)/tree/series.py '$(BASE)' $(if $(TOPIC),'$(TOPIC)')

send-check: ## is each topic fit to be sent?
	@$(T)/deps.sh build check
	@$(T)/mail/send-check.sh '$(BASE)' $(if $(TOPIC),'$(TOPIC)')

backport-report: ## which patch goes to which base, and what holds there
	@$(T)/deps.sh
	@$(T)/mail/backport-report.py

##@ To change it:
readme: ## put the tables of the last make run, bench, clients and audit
##                  into README.md and the documents
	@$(T)/documents.py '$(BASE)'

refresh: ## fold the commits of build/BASE/src back into own files and patches
	@$(T)/deps.sh
	@$(T)/tree/refresh.py '$(BASE)'

clean: ## remove what was built; keep sources and logs
	rm -rf build/*/src/obj* build/*/*/src/obj* build/*/stock*.stamp build/*/fixes*.stamp \
		build/*/rework*.stamp build/*/step.stamp build/*/kselftest* build/*/kunit* \
		build/*/check-clang* build/*/htmldocs* build/*/mutant build/*/mutant-kunit \
		build/*/clients build/*/igt build/*/drivers build/igt-tree build/igt-sid

distclean: ## remove build/ and the cache
	rm -rf build "$${XDG_CACHE_HOME:-$$HOME/.cache}/dma-buf-poll"

##@ With:
##  BASE=NAME       one of: @bases
##  VARIANT=NAME    stock, fixes (all topics but poll-rework), rework (all of them); where
##                  there is no poll-rework, as on 5.10, stock or rework
##  TOPIC=NAME      one topic, for series and send-check
##  DEBUG=1         lockdep, KASAN, debug objects, kmemleak
##  KCSAN=1         data race detection
##  RT=1, NOSMP=1   PREEMPT_RT; a kernel without SMP
##  KSRC=PATH       a kernel tree of your own instead of the Debian package
##  REFRESH=1       look for a newer version of the package
##@ And for one of these only:
##  selftest        REPEAT=n (so many times), TESTFLAGS (for each test), SMP=n (CPUs),
##                  TIMEOUT (of the guest, in seconds), MEMORY (such as 2G)
##  kunit           KUNIT_FILTER="suite.test"
##  test-debug      RUNS="debug kcsan rt up nosmp"
##  mutants         MUTANTS="name or glob", REDO=1 (forget what is known)
##  igt             IGT_SRC=PATH (a tree of IGT to build the tests in)
