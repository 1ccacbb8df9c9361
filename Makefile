# SPDX-License-Identifier: GPL-2.0
#
# Implicit-fence polling on dma-buf: see README.md, and `make help`.

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

.PHONY: all help deps run test test-all readme steps tree kernel selftest shell topics series \
	send-check backport-report check clean distclean
.DELETE_ON_ERROR:

all: help

help:
	@echo 'The main jobs:'
	@echo '  run             from nothing to the table: the stock kernel beside each series'
	@echo '  test            the test suite, ends with "N passed, N failed, N skipped"'
	@echo '  test-all        the same for every base'
	@echo
	@echo 'Step by step:'
	@echo '  tree            base and patches as a git tree in build/BASE/src, to work in'
	@echo '  kernel          a kernel of VARIANT, built in obj/ below its source'
	@echo '  selftest        boot it and run the kselftest; TESTS="poll" names some of them'
	@echo '  shell           boot it and give a shell'
	@echo '  kunit           the KUnit suite under UML, natively'
	@echo '  model           check the protocol exhaustively, with spin'
	@echo '  litmus          check the memory ordering, with herd7; TESTS="owed*" names some of them'
	@echo '  test-debug      all tests under lockdep, KASAN, KCSAN, PREEMPT_RT, on one CPU'
	@echo '  coverage        which lines and branches of dma-buf-poll.c the tests reach'
	@echo '  mutants         break dma-buf-poll.c on purpose, see which test notices'
	@echo '  steps           the contract after each patch; STEPS="..." names some, MESSAGE=1'
	@echo '                  says for each what it changes, as for a commit message'
	@echo '  bench           what polling costs, in guest instructions, stock against VARIANT'
	@echo '  clients         the event loops people use, stock against VARIANT; CLIENTS="..."'
	@echo '  bench-compare   two of those, A=... B=...: bases, directories or results.tsv'
	@echo '  htmldocs        the documentation as HTML in build/BASE/htmldocs/'
	@echo '  check           static checks on what the series adds, and on the harness'
	@echo '  igt             IGT'"'"'s view of it, in the guest; SUBTESTS="vgem-*" names some of them'
	@echo '  igt-stock       the tests IGT has already, stock against series'
	@echo '  audit           the semantic patches over the tree of BASE: what is new;'
	@echo '                  RULES="..." names some of them'
	@echo '  audit-patches   do the patches of patches/BASE-drivers apply and compile?'
	@echo '  deps            install the Debian packages all of this needs'
	@echo
	@echo 'To send:'
	@echo '  topics          what can be sent: the names of the topics of BASE'
	@echo '  series          mail-ready patches in build/BASE/series/TOPIC/; needs no kernel source'
	@echo '  send-check      is each topic fit to be sent?'
	@echo '  backport-report which patch goes to which base, and what holds there'
	@echo
	@echo 'To change it:'
	@echo '  readme          put the tables of the last make run, bench, clients and audit'
	@echo '                  into README.md and the documents'
	@echo '  refresh         fold the commits of build/BASE/src back into own files and patches'
	@echo
	@echo '  clean           remove what was built; keep sources and logs'
	@echo '  distclean       remove build/ and the cache'
	@echo
	@echo 'With:'
	@echo '  BASE=$(BASE)       one of: $(shell awk '!/^#/ && NF { print $$1 }' $(T)/bases | paste -sd" ")'
	@echo '  VARIANT=$(VARIANT) stock, fixes (all topics but poll-rework), rework (all of them); where'
	@echo '                  there is no poll-rework, as on 5.10, stock or rework'
	@echo '  TOPIC=NAME      one topic, for series and send-check'
	@echo '  DEBUG=1         lockdep, KASAN, debug objects, kmemleak'
	@echo '  KCSAN=1         data race detection'
	@echo '  RT=1, NOSMP=1   PREEMPT_RT; a kernel without SMP'
	@echo '  KSRC=PATH       a kernel tree of your own instead of the Debian package'
	@echo '  REFRESH=1       look for a newer version of the package'
	@echo 'and, for selftest, REPEAT=n (so many times), TESTFLAGS (for each test), SMP=n'
	@echo '(CPUs), TIMEOUT (of the guest, in seconds), MEMORY (such as 2G); for kunit,'
	@echo 'KUNIT_FILTER="suite.test"; for test-debug, RUNS="debug kcsan rt up nosmp"; for'
	@echo 'mutants, MUTANTS="name or glob" and REDO=1 (forget what is known); for igt,'
	@echo 'IGT_SRC=PATH (a tree of IGT to build the tests in)'

deps:
	@$(T)/deps.sh build check docs

run:
	@$(T)/deps.sh
	@$(T)/run.sh '$(BASE)'

test:
	@$(T)/deps.sh build check docs
	@$(T)/test.sh '$(BASE)'

steps:
	@$(T)/deps.sh
	@$(T)/steps.py '$(BASE)' $(if $(MESSAGE),--message) $(foreach s,$(STEPS),'$(s)')

# From what the last runs left
readme:
	@$(T)/documents.py '$(BASE)'

test-all:
	@$(T)/deps.sh build check docs
	@$(T)/test.sh all

tree:
	@$(T)/deps.sh
	@$(T)/compose.sh '$(BASE)'

kernel:
	@$(T)/deps.sh
	@$(T)/kernel.sh '$(BASE)' '$(VARIANT)'

selftest:
	@$(T)/deps.sh
	@$(T)/selftest.sh '$(BASE)' '$(VARIANT)' $(TESTS)

shell:
	@$(T)/deps.sh
	@$(T)/shell.sh '$(BASE)' '$(VARIANT)'

# Neither a kernel nor a package is needed for these.
topics:
	@$(T)/series.py '$(BASE)' --topics

series:
	@$(T)/series.py '$(BASE)' $(if $(TOPIC),'$(TOPIC)')

send-check:
	@$(T)/deps.sh build check
	@$(T)/send-check.sh '$(BASE)' $(if $(TOPIC),'$(TOPIC)')

backport-report:
	@$(T)/deps.sh
	@$(T)/backport-report.py

check:
	@$(T)/deps.sh build check
	@$(T)/check.sh '$(BASE)'

clean:
	rm -rf build/*/src/obj* build/*/*/src/obj* build/*/stock*.stamp build/*/fixes*.stamp \
		build/*/rework*.stamp build/*/step.stamp build/*/kselftest* build/*/kunit* \
		build/*/check-clang* build/*/htmldocs* build/*/mutant build/*/mutant-kunit \
		build/*/clients build/*/igt build/*/drivers build/igt-tree build/igt-sid

distclean:
	rm -rf build "$${XDG_CACHE_HOME:-$$HOME/.cache}/dma-buf-poll"

.PHONY: kunit mutants test-debug coverage
kunit:
	@$(T)/deps.sh
	@$(T)/kunit.sh '$(BASE)'

test-debug:
	@$(T)/deps.sh
	@$(T)/test-debug.sh '$(BASE)' '$(VARIANT)' $(RUNS)

coverage:
	@$(T)/deps.sh
	@$(T)/coverage.sh '$(BASE)'

mutants:
	@$(T)/deps.sh
	@$(T)/mutants.py '$(BASE)' $(if $(MUTANTS),'$(MUTANTS)')

.PHONY: bench bench-compare
bench:
	@$(T)/deps.sh build bench
	@$(T)/bench.sh '$(BASE)' '$(VARIANT)'

bench-compare:
	@$(T)/bench_report.py --compare '$(A)' '$(B)'

.PHONY: model
model:
	@$(T)/deps.sh build check
	@$(T)/model.sh

.PHONY: litmus
litmus:
	@$(T)/deps.sh
	@$(T)/litmus.sh $(foreach t,$(TESTS),'$(t)')

.PHONY: clients
clients:
	@$(T)/deps.sh
	@$(T)/clients.sh '$(BASE)' '$(VARIANT)' $(CLIENTS)

.PHONY: htmldocs
htmldocs:
	@$(T)/deps.sh build docs
	@$(T)/htmldocs.sh '$(BASE)'

.PHONY: refresh
refresh:
	@$(T)/deps.sh
	@$(T)/refresh.py '$(BASE)'

.PHONY: igt igt-stock
igt:
	@$(T)/deps.sh build igt
	@$(T)/igt.sh '$(BASE)' '$(VARIANT)' $(foreach s,$(SUBTESTS),'$(s)')

igt-stock:
	@$(T)/deps.sh build igt
	@$(T)/igt-stock.sh '$(BASE)' $(foreach s,$(TESTS),'$(s)')

.PHONY: audit audit-patches
audit:
	@$(T)/deps.sh build audit
	@$(T)/compose.sh '$(BASE)'
	@$(T)/audit.py '$(BASE)' $(foreach r,$(RULES),--rule '$(r)')

audit-patches:
	@$(T)/deps.sh build check
	@$(T)/compose.sh '$(BASE)'
	@$(T)/drivers-check.sh '$(BASE)'
