/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the clients, and feed.c which judges them, talk to each other.
 *
 * A client finds CLIENT_COUNT buffers on the descriptors from CLIENT_FD on,
 * with fences pending. It watches those with an even number for IN, the others
 * for OUT, in one event loop together with standard input, and says on standard
 * output
 *
 *   hello VERSION   what library it runs on
 *   watching        now it watches them all
 *   ready N         buffer N was reported to be ready, and is
 *   early N         buffer N was reported to be ready, and is not
 *   fault TEXT      something else is wrong
 *   loops N         how often the loop went round between the last two
 *                   "watching" it said
 *   closed          nothing of the loop is left, no buffer is open
 *
 * On standard input it is told, one byte each,
 *
 *   a   the buffers are busy again: watch them again, say so
 *   s   stop: take everything down with the fences pending, say so, and wait
 *       for the end of standard input
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#define CLIENT_FD	200
#define CLIENT_COUNT	64

#endif /* PROTOCOL_H */
