// SPDX-License-Identifier: GPL-2.0
/// Open-coded walks over the fences of a reservation object, or of what holds
/// several fences.  The list changes under its readers: the iterators know the
/// retries and references this takes.
///
// Confidence: Moderate
// Comments: For a dma_fence_array or a dma_fence_chain there are
//# dma_fence_array_for_each(), dma_fence_chain_for_each() and, for whatever is
//# nested in whatever, dma_fence_unwrap_for_each().  The files that implement
//# all this are not looked at.  There is no patch mode.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@initialize:python@
@@

import re

OWN = re.compile(r"(^|/)(dma-resv|dma-fence-array|dma-fence-chain|dma-fence-unwrap)\.[ch]$")

// The list itself belongs to dma-resv.c.
@fences@
struct dma_resv *r;
position p;
@@

 r->fences@p

@table@
struct dma_resv_list *l;
position p;
@@

 l->table@p

// for (f = dma_resv_iter_first(c); f; f = dma_resv_iter_next(c))
@steps@
expression f, c;
identifier first = {dma_resv_iter_first, dma_resv_iter_first_unlocked};
identifier next = {dma_resv_iter_next, dma_resv_iter_next_unlocked};
position p;
@@

(
 for (f = first@p(c); <+... f ...+>; f = next(c)) { ... }
|
 for (f = first@p(c); f; f = next(c)) { ... }
)

@stepw exists@
expression f, c;
identifier first = {dma_resv_iter_first, dma_resv_iter_first_unlocked};
identifier next = {dma_resv_iter_next, dma_resv_iter_next_unlocked};
position p;
@@

 f = first@p(c);
 ... when any
 while (f) {
  <+... f = next(c) ...+>
 }

@array@
struct dma_fence_array *a;
expression i;
position p;
@@

 for (i = 0; i < a->num_fences; \(i++\|++i\)) { <+... a->fences@p ...+> }

@chain@
struct dma_fence_chain *c;
position p;
@@

 c->prev@p

@depends on context@
struct dma_resv *fences.r;
position fences.p;
@@

*r->fences@p

@depends on context@
struct dma_resv_list *table.l;
position table.p;
@@

*l->table@p

@depends on context@
identifier steps.first;
position steps.p;
@@

*first@p(...)

@depends on context@
identifier stepw.first;
position stepw.p;
@@

*first@p(...)

@depends on context@
struct dma_fence_array *array.a;
position array.p;
@@

*a->fences@p

@depends on context@
struct dma_fence_chain *chain.c;
position chain.p;
@@

*c->prev@p

@script:python depends on org@
p << fences.p;
@@

if not OWN.search(p[0].file):
    coccilib.org.print_todo(p[0], "%s: open-coded access to the fence list" % p[0].current_element)

@script:python depends on report@
p << fences.p;
@@

if not OWN.search(p[0].file):
    coccilib.report.print_report(p[0], "%s: open-coded access to the fence list" % p[0].current_element)

@script:python depends on org@
p << table.p;
@@

if not OWN.search(p[0].file):
    coccilib.org.print_todo(p[0], "%s: open-coded access to the fence list" % p[0].current_element)

@script:python depends on report@
p << table.p;
@@

if not OWN.search(p[0].file):
    coccilib.report.print_report(p[0], "%s: open-coded access to the fence list" % p[0].current_element)

@script:python depends on org@
p << steps.p;
@@

if not OWN.search(p[0].file):
    coccilib.org.print_todo(p[0], "%s: open-coded loop over a dma_resv iterator" % p[0].current_element)

@script:python depends on report@
p << steps.p;
@@

if not OWN.search(p[0].file):
    coccilib.report.print_report(p[0], "%s: open-coded loop over a dma_resv iterator" % p[0].current_element)

@script:python depends on org@
p << stepw.p;
@@

if not OWN.search(p[0].file):
    coccilib.org.print_todo(p[0], "%s: open-coded loop over a dma_resv iterator" % p[0].current_element)

@script:python depends on report@
p << stepw.p;
@@

if not OWN.search(p[0].file):
    coccilib.report.print_report(p[0], "%s: open-coded loop over a dma_resv iterator" % p[0].current_element)

@script:python depends on org@
p << array.p;
@@

if not OWN.search(p[0].file):
    coccilib.org.print_todo(p[0], "%s: open-coded walk over a dma_fence_array" % p[0].current_element)

@script:python depends on report@
p << array.p;
@@

if not OWN.search(p[0].file):
    coccilib.report.print_report(p[0], "%s: open-coded walk over a dma_fence_array" % p[0].current_element)

@script:python depends on org@
p << chain.p;
@@

if not OWN.search(p[0].file):
    coccilib.org.print_todo(p[0], "%s: open-coded walk along a dma_fence_chain" % p[0].current_element)

@script:python depends on report@
p << chain.p;
@@

if not OWN.search(p[0].file):
    coccilib.report.print_report(p[0], "%s: open-coded walk along a dma_fence_chain" % p[0].current_element)
