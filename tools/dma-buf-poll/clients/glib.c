// SPDX-License-Identifier: GPL-2.0
/*
 * GLib: glib fd       a g_unix_fd_add() for each buffer
 *       glib source   a GSource of its own for each buffer, as Mutter has
 */
#include <glib.h>
#include <glib-unix.h>
#include <string.h>

#include "client.h"

struct buffer_source {
	GSource base;
	gpointer tag;
	int n;
};

static guint ids[CLIENT_COUNT];
static bool own_source;
static bool stop;

static GIOCondition condition(int n)
{
	return buffer_events(n) == POLLIN ? G_IO_IN : G_IO_OUT;
}

static gboolean unix_fd_ready(gint fd, GIOCondition cond, gpointer data)
{
	int n = GPOINTER_TO_INT(data);

	if (!buffer_is_ready(n))
		return G_SOURCE_CONTINUE;
	ids[n] = 0;
	return G_SOURCE_REMOVE;
}

static gboolean source_dispatch(GSource *base, GSourceFunc func, gpointer data)
{
	struct buffer_source *source = (struct buffer_source *)base;

	if (!g_source_query_unix_fd(base, source->tag))
		return G_SOURCE_CONTINUE;
	return unix_fd_ready(buffer_fd(source->n), 0, GINT_TO_POINTER(source->n));
}

static GSourceFuncs source_funcs = { .dispatch = source_dispatch };

static guint watch_own_source(int n)
{
	GSource *base = g_source_new(&source_funcs, sizeof(struct buffer_source));
	struct buffer_source *source = (struct buffer_source *)base;
	guint id;

	source->n = n;
	source->tag = g_source_add_unix_fd(base, buffer_fd(n), condition(n));
	id = g_source_attach(base, NULL);
	g_source_unref(base);
	return id;
}

static void watch_all(void)
{
	int n;

	for (n = 0; n < CLIENT_COUNT; n++) {
		if (own_source)
			ids[n] = watch_own_source(n);
		else
			ids[n] = g_unix_fd_add(buffer_fd(n), condition(n),
					       unix_fd_ready, GINT_TO_POINTER(n));
	}
	say_watching();
}

static gboolean command(gint fd, GIOCondition cond, gpointer data)
{
	if (read_command()) {
		watch_all();
		return G_SOURCE_CONTINUE;
	}
	stop = true;
	return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
	int n;

	own_source = argc > 1 && !strcmp(argv[1], "source");
	say("hello GLib %d.%d.%d", glib_major_version, glib_minor_version, glib_micro_version);
	g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, command, NULL);
	watch_all();
	for (; !stop; loops++)
		g_main_context_iteration(NULL, TRUE);

	for (n = 0; n < CLIENT_COUNT; n++) {
		if (ids[n] && !g_source_remove(ids[n]))
			say("fault the source of buffer %d is gone", n);
		close_buffer(n);
	}
	if (g_main_context_pending(NULL))
		say("fault something is pending without a source");
	say_closed();
	return 0;
}
