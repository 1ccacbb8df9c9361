# SPDX-License-Identifier: GPL-2.0
#
# Implicit-fence polling on dma-buf: see README.md, and `make help`. That prints what
# stands behind "##" here, and the names of the targets below it.

BASE	?= 6.12
VARIANT	?= rework
DEBUG	?=
KCSAN	?=
RT	?=
NOSMP	?=
KSRC	?=
TOPIC	?=
ARCH	?=
PAGES	?=
ARCHES	?=

export DEBUG KCSAN RT NOSMP KSRC PAGES
# kbuild has an ARCH of its own, and must not find this one: neither in the environment
# nor among what make hands down.
export DBP_ARCH := $(ARCH)
unexport ARCH
MAKEOVERRIDES =
MAKEFLAGS += --no-print-directory
T := tools/dma-buf-poll
# The variants of BASE, stock first: what is built for it is most of the others.
VARIANTS = $(shell bash -c '. $(T)/lib.sh; variants "$(BASE)"' 2>/dev/null)
# VARIANT if somebody has given one
one_or_all = $(if $(filter file,$(origin VARIANT)),$(VARIANTS),$(VARIANT))

.PHONY: all help run test test-all tree kernel kernels kselftest selftest bundle shell kunit model \
	litmus test-debug coverage mutants steps bench witness clients compositor bench-compare htmldocs check igt \
	igt-stock audit audit-patches self deps topics series send-check backport-report readme refresh clean \
	distclean
.DELETE_ON_ERROR:
# Each step takes all CPUs for itself.
.NOTPARALLEL:
.SECONDEXPANSION:

all: help

help:
	@awk -v bases="$$(awk '!/^#/ && NF { print $$1 }' $(T)/tree/bases | paste -sd' ')" ' \
		sub(/^##@ /, "") { print (n++ ? "\n" : "") $$0 } \
		sub(/^##  /, "  ") { sub(/@bases/, bases); print } \
		sub(/^## /, "") { text = text (text ? sprintf("\n%18s", "") : "") $$0 } \
		text && /^[a-z-]+:/ { sub(/:.*/, ""); printf "  %-15s %s\n", $$0, text; text = "" }' Makefile

# The steps that others begin with. What a step has made is good as long as its inputs
# are the same: each has a stamp, with a hash of them. Times of files do not tell: make
# cannot see what is edited or committed in build/BASE/src, nor another compiler.

# Wrong arguments are told of before anything is built. The command of the target
# TARGET is the variable TARGET.
args-%:
	@ARGS_ONLY=1 $(T)/$($*)

deps-%:
	@$(T)/deps.sh $*

kernel-%: tree
	@$(T)/kernel/kernel.sh '$(BASE)' '$*'

# For those who compile a few objects of it: configured, and no more
config-%: tree
	@$(T)/kernel/kernel.sh '$(BASE)' '$*' --config

kernels: $$(addprefix kernel-,$$(VARIANTS)) kselftest

kselftest: tree
	@$(T)/test/kselftest.sh '$(BASE)'

##@ The main jobs:
## from nothing to the table: the stock kernel beside each variant
run = test/run.sh '$(BASE)'
run: args-run kernels
	@$(T)/$(run)

## the test suite, ends with "N passed, N failed, N skipped"
test: deps
	@$(T)/test/test.sh '$(BASE)'

## the same for every base
test-all: deps
	@$(T)/test/test.sh all

##@ Step by step:
## base and patches as a git tree in build/BASE/src, to work in
tree: deps-build
	@$(T)/tree/compose.sh '$(BASE)'

## a kernel of VARIANT, built in obj/ below its source
kernel = kernel/kernel.sh '$(BASE)' '$(VARIANT)'
kernel: args-kernel kernel-$(VARIANT)

## boot it and run the kselftest; TESTS="poll" names some of them
selftest = test/selftest.sh '$(BASE)' '$(VARIANT)' $(TESTS)
selftest: args-selftest kernel-$(VARIANT) kselftest
	@$(T)/$(selftest)

## boot it and give a shell
shell = vm/shell.sh '$(BASE)' '$(VARIANT)'
shell: args-shell kernel-$(VARIANT)
	@$(T)/$(shell)

## the same kernel and tests as a directory that any VM tool, LAVA
## or tuxrun takes: build/BASE/bundle-VARIANT, or BUNDLE=DIR
bundle = bundle/bundle.sh '$(BASE)' '$(VARIANT)'
bundle: args-bundle kernel-$(VARIANT) kselftest
	@$(T)/$(bundle)

## the KUnit suite under UML, natively
kunit = test/kunit.sh '$(BASE)'
kunit: args-kunit tree
	@$(T)/$(kunit)

## check the protocol exhaustively, with spin
model: deps-check
	@$(T)/model/model.sh

## check the memory ordering, with herd7; TESTS="owed*" names some of them
litmus: deps-build
	@$(T)/model/litmus.sh $(foreach t,$(TESTS),'$(t)')

## all tests under lockdep, KASAN, KCSAN, PREEMPT_RT, on one CPU
test-debug = test/test-debug.sh '$(BASE)' '$(VARIANT)' $(RUNS)
test-debug: args-test-debug tree kselftest
	@$(T)/$(test-debug)

## which lines and branches of dma-buf-poll.c the tests reach
coverage = test/coverage.sh '$(BASE)'
coverage: args-coverage deps-coverage tree kselftest
	@$(T)/$(coverage)

## break dma-buf-poll.c on purpose, see which test notices
mutants = test/mutants.py '$(BASE)' $(if $(MUTANTS),'$(MUTANTS)')
mutants: args-mutants tree
	@$(T)/$(mutants)

## the contract after each patch; STEPS="..." names some, MESSAGE=1
## says for each what it changes, as for a commit message
steps: tree kselftest
	@$(T)/test/steps.py '$(BASE)' $(if $(MESSAGE),--message) $(foreach s,$(STEPS),'$(s)')

## what polling costs, in guest instructions, stock against VARIANT
bench = bench/bench.sh '$(BASE)' '$(VARIANT)'
bench: args-bench deps-bench kernel-stock $$(if $$(filter rework,$(VARIANT)),$$(addprefix kernel-,$$(VARIANTS))) \
		kernel-$(VARIANT) kselftest
	@$(T)/$(bench)

## how long poll takes by the clock, in UML, the variants in turns: a second witness
witness = bench/witness.sh '$(BASE)'
witness: args-witness tree
	@$(T)/$(witness)

## the event loops people use, stock against VARIANT; CLIENTS="..."
clients = clients/clients.sh '$(BASE)' '$(VARIANT)' $(CLIENTS)
clients: args-clients kernel-stock kernel-$(VARIANT) kselftest
	@$(T)/$(clients)

## KWin, Mutter and sway of Debian 13 and buffers with fences, on all
## variants or VARIANT; COMPOSITORS="..." and CASES="..." name some
compositor = compositor/compositor.sh '$(BASE)' '$(one_or_all)' $(foreach c,$(COMPOSITORS),'$(c)')
compositor: args-compositor deps-compositor $$(addprefix kernel-,$$(one_or_all)) kselftest
	@$(T)/$(compositor)

## two results of bench side by side, A=... B=...: bases, directories or
## results.tsv
bench-compare:
	@$(T)/bench/bench_report.py --compare '$(A)' '$(B)'

## the documentation as HTML in build/BASE/htmldocs/
htmldocs: deps-docs tree
	@$(T)/check/htmldocs.sh '$(BASE)'

## static checks on what the series adds, and on the harness;
## ARCHES=all compiles it for all that Debian has compilers for
check = check/check.sh '$(BASE)' $(ARCHES)
check: args-check deps-check config-rework
	@$(T)/$(check)

## IGT's view of it, in the guest; SUBTESTS="vgem-*" names some of them
igt = igt/igt.sh '$(BASE)' '$(VARIANT)' $(foreach s,$(SUBTESTS),'$(s)')
igt: args-igt deps-igt kernel-$(VARIANT) kselftest
	@$(T)/$(igt)

## the tests IGT has already, stock against rework
igt-stock = igt/igt-stock.sh '$(BASE)' $(foreach s,$(TESTS),'$(s)')
igt-stock: args-igt-stock deps-igt kernel-stock kernel-rework
	@$(T)/$(igt-stock)

## the semantic patches over the tree of BASE: what is new;
## RULES="..." names some of them
audit: deps-audit tree
	@$(T)/audit/audit.py '$(BASE)' $(foreach r,$(RULES),--rule '$(r)')

## do the patches of patches/BASE-drivers apply and compile?
audit-patches: deps-check tree
	@$(T)/audit/drivers-check.sh '$(BASE)'

## install the Debian packages that run and test need
deps: deps-check deps-docs deps-coverage

##@ To send; topics and series need neither a kernel nor a package:
## what can be sent: the names of the topics of BASE
topics:
	@$(T)/tree/series.py '$(BASE)' --topics

## mail-ready patches in build/BASE/series/TOPIC/
series:
	@$(T)/tree/series.py '$(BASE)' $(if $(TOPIC),'$(TOPIC)')

## is each topic fit to be sent?
send-check = mail/send-check.sh '$(BASE)' $(if $(TOPIC),'$(TOPIC)')
send-check: args-send-check deps-check config-rework
	@$(T)/$(send-check)

## which patch goes to which base, and what holds there
backport-report: deps-build
	@$(T)/mail/backport-report.py

##@ To change it:
## put the tables of the last make run, bench, witness, clients, compositor, igt and
## audit into README.md and the documents
readme:
	@$(T)/documents.py '$(BASE)'

## fold the commits of build/BASE/src back into own files and patches
refresh: deps-build
	@$(T)/tree/refresh.py '$(BASE)'

## does the harness refuse what it should? its own tests, with the kernel of BASE
self: deps-check deps-coverage kernel-rework kselftest
	@$(T)/self/harness-test.sh '$(BASE)'

## remove what was built; keep sources and logs
clean:
	rm -rf build/*/bundle-* build/*/src/obj* build/*/*/src/obj* build/*/stock*.stamp build/*/fixes*.stamp \
		build/*/rework*.stamp build/*/step.stamp build/*/kselftest* build/*/kunit* \
		build/*/check-* build/*/htmldocs* build/*/mutant build/*/mutant-kunit \
		build/*/clients build/*/compositor build/*/igt build/*/drivers build/igt-tree build/igt-sid

## remove build/ and the cache
distclean:
	rm -rf build "$${XDG_CACHE_HOME:-$$HOME/.cache}/dma-buf-poll"

##@ With:
##  BASE=NAME       one of: @bases
##  VARIANT=NAME    stock, fixes (all topics but poll-rework), rework (all of them); where
##                  there is no poll-rework, as on 5.10, stock or rework
##  TOPIC=NAME      one topic, for series and send-check
##  DEBUG=1         lockdep, KASAN, debug objects, kmemleak
##  KCSAN=1         data race detection
##  RT=1, NOSMP=1   PREEMPT_RT; a kernel without SMP
##  ARCH=NAME       x86_64, arm64, or arm, 32 bits and one CPU; this machine's own by itself.
##                  For tree, kernel, selftest, run, bench, shell, bundle, test, test-debug,
##                  readme
##  PAGES=16k, 64k  of arm64
##  KSRC=PATH       a kernel tree of your own instead of the Debian package
##  REFRESH=1       look for a newer version of the package
##  KVM=1           guests run on /dev/kvm; without it they are emulated
##  VM=PROGRAM      boots the guests in place of tools/dma-buf-poll/vm/guest.py, which says
##                  in its first comment what it has to do

##@ And for one of these only:
##  selftest        REPEAT=n (so many times), TESTFLAGS (for each test), SMP=n (CPUs),
##                  TIMEOUT (of the guest, in seconds), MEMORY (such as 2G)
##  kunit           KUNIT_FILTER="suite.test"
##  test-debug      RUNS="debug kcsan rt up nosmp"
##  mutants         MUTANTS="name or glob", REDO=1 (forget what is known), ALL=1 (in the
##                  guest also those that no test can notice)
##  igt             IGT_SRC=PATH (a tree of IGT to build the tests in)
