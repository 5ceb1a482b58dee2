/*-------------------------------------------------------------------------
 * listen.c
 *	  The HTTP listener.
 *
 * libmicrohttpd gives up a connection that is silent; one that sends a byte
 * now and then lives as long as it likes.  So each is ended by its age too:
 * its socket is shut down, and the library finds it closed.
 *
 * Threads: libmicrohttpd's one, and the watcher.  Layer: serve.
 *-------------------------------------------------------------------------
 */
#include "serve/listen.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "serve/metrics.h"

#define CONNECTIONS 64
#define BACKLOG 16
#define HEADER_BYTES ((size_t) 16 << 10)
#define SILENT_SECONDS 10
#define AGE_MS 30000
#define WATCH_MS 1000
#define SAMPLE_MS 4000
#define HOST_MAX 256
#define EMF_MAX_BYTES 16384

/* A connection, for its age. */
typedef struct Guest
{
	int fd; /* < 0: free */
	int64_t began_ms;
} Guest;

struct Serve
{
	ServeOptions o;
	int fd;
	struct MHD_Daemon *daemon; /* NULL: nobody listens */
	pthread_t watcher;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;
	Guest guests[CONNECTIONS];
};

typedef struct Address
{
	char host[HOST_MAX]; /* "": any */
	char port[16];
} Address;

static bool
parse(const char *listen, Address *out, Err *err)
{
	const char *colon = strrchr(listen, ':');
	size_t n = colon ? (size_t) (colon - listen) : 0;
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
	const char *host = listen;

	if (n >= 2 && host[0] == '[' && host[n - 1] == ']')
	{
		host++;
		n -= 2;
	}
	else if (memchr(host, ':', n))
		digits = 0; /* an address of IPv6 without its brackets */
	if (digits == 0 || digits > 5 || colon[1 + digits] || n >= HOST_MAX)
	{
		err_set(err, ERR_USAGE, 0,
				"setting \"http.listen\" has the value \"%.100s\", which is no "
				"address and port",
				listen);
		return err_hint(err, "write it as 127.0.0.1:8470 or [::1]:8470");
	}
	memcpy(out->host, host, n);
	out->host[n] = '\0';
	memcpy(out->port, colon + 1, digits + 1);
	return true;
}

static bool
is_any(const char *host)
{
	return host[0] == '\0' || strcmp(host, "*") == 0 ||
		   strcmp(host, "0.0.0.0") == 0;
}

bool
serve_url(const char *listen, char *buf, size_t size, Err *err)
{
	Address a;
	const char *host;

	if (!parse(listen, &a, err))
		return false;
	host = is_any(a.host)              ? "127.0.0.1"
		   : strcmp(a.host, "::") == 0 ? "::1"
									   : a.host;
	(void) snprintf(buf, size,
					strchr(host, ':') ? "http://[%s]:%s" : "http://%s:%s", host,
					a.port); /* a cut one is answered by nobody */
	return true;
}

static bool
is_loopback(const struct sockaddr *sa)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *) sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) sa;

	if (sa->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static bool
may_listen(const Serve *s, Err *err)
{
	if (s->o.answer.loopback || s->o.insecure || s->o.answer.token[0] ||
		s->o.answer.basic[0])
		return true;
	err_set(err, ERR_USAGE, 0,
			"http.listen = %s is reached from other machines, and nobody is "
			"asked for a secret",
			s->o.listen);
	return err_hint(err,
					"set http.token_file or http.basic_file, listen on "
					"127.0.0.1, or set http.insecure = on where the network "
					"lets in nobody else");
}

static bool
open_socket(Serve *s, const struct addrinfo *ai, Err *err)
{
	int on = 1;
	int code;
	char why[64];

	s->o.answer.loopback = is_loopback(ai->ai_addr);
	if (!may_listen(s, err))
		return false;
	s->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd >= 0 &&
		setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
		bind(s->fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
		listen(s->fd, BACKLOG) == 0)
		return true;
	code = errno;
	err_set(err, code == EADDRINUSE ? ERR_BUSY : ERR_USAGE, code,
			"could not listen on \"%s\": %s", s->o.listen,
			err_errno(code, why, sizeof(why)));
	return err_hint(err, code == EADDRINUSE
							 ? "another process does; end it, or choose "
							   "another port in http.listen"
							 : "correct http.listen");
}

static bool
resolve(Serve *s, Err *err)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE,
							  .ai_family = AF_UNSPEC,
							  .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	Address a;
	int rc;
	bool ok;

	if (!parse(s->o.listen, &a, err))
		return false;
	if (is_any(a.host))
		hints.ai_family = AF_INET;
	rc = getaddrinfo(is_any(a.host) ? NULL : a.host, a.port, &hints, &list);
	if (rc != 0)
	{
		err_set(err, ERR_USAGE, 0, "http.listen names the host \"%.100s\": %s",
				a.host, gai_strerror(rc));
		return err_hint(err, "write an address of this machine");
	}
	ok = open_socket(s, list, err);
	freeaddrinfo(list);
	return ok;
}

/*
 * Requests
 */
static const char *
header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static void
add_header(struct MHD_Response *r, const char *name, const char *value)
{
	if (value) /* no memory: it is left out */
		(void) MHD_add_response_header(r, name, value);
}

/* Takes the answer's body. */
static enum MHD_Result
send_answer(struct MHD_Connection *c, Answer *a)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
		a->body.n, a->body.p, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result ok;

	answer_done(a);
	if (!r)
		return MHD_NO;
	add_header(r, "Content-Type", a->type);
	add_header(r, "WWW-Authenticate", a->asks);
	add_header(r, "Allow", a->allow);
	add_header(r, "Cache-Control", "no-store");
	add_header(r, "Content-Security-Policy", ANSWER_CSP);
	add_header(r, "X-Content-Type-Options", "nosniff");
	add_header(r, "X-Frame-Options", "DENY");
	add_header(r, "Referrer-Policy", "no-referrer");
	add_header(r, "Connection", "close"); /* each has its limit of time */
	ok = MHD_queue_response(c, (unsigned) a->status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *c, const char *url,
		   const char *method, const char *version, const char *data,
		   size_t *data_size, void **state)
{
	const Serve *s = arg;
	AnswerRequest r = { .method = method,
						.path = url,
						.host = header(c, "Host"),
						.authorization = header(c, "Authorization"),
						.accept = header(c, "Accept") };
	Answer a;

	(void) version;
	(void) data;
	(void) data_size; /* a body is not waited for */
	(void) state;
	answer_request(&s->o.answer, &r, &a);
	return send_answer(c, &a);
}

/*
 * Connections
 */
static void
on_connection(void *arg, struct MHD_Connection *c, void **state,
			  enum MHD_ConnectionNotificationCode what)
{
	Serve *s = arg;
	Guest *g = *state;
	const union MHD_ConnectionInfo *info;

	pthread_mutex_lock(&s->lock);
	if (what == MHD_CONNECTION_NOTIFY_CLOSED && g)
		g->fd = -1;
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
	{
		info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
		for (int i = 0; info && i < CONNECTIONS && !*state; i++)
		{
			g = &s->guests[i];
			if (g->fd >= 0)
				continue;
			*g = (Guest){ info->connect_fd, clock_mono_ms() };
			*state = g;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

/* Under the lock, so that a descriptor is none that was closed meanwhile. */
static void
end_the_old(Serve *s)
{
	int64_t now_ms = clock_mono_ms();

	for (int i = 0; i < CONNECTIONS; i++)
	{
		Guest *g = &s->guests[i];

		if (g->fd >= 0 && now_ms - g->began_ms > AGE_MS)
			(void) shutdown(g->fd, SHUT_RDWR); /* it may be closed already */
	}
}

/*
 * The watcher
 */
static void
print_emf(const Serve *s)
{
	View *v = view_new(s->o.answer.version);
	Buf line;
	size_t done = 0;

	buf_init(&line, EMF_MAX_BYTES);
	emf_add(v, s->o.slot, &line);
	while (!line.overflow && done < line.n)
	{
		ssize_t n = write(STDOUT_FILENO, line.p + done, line.n - done);

		if (n < 0 && errno != EINTR)
			break; /* nobody to tell */
		done += n > 0 ? (size_t) n : 0;
	}
	buf_done(&line);
	view_free(v);
}

static void *
watch(void *arg)
{
	Serve *s = arg;
	int64_t sample_ms = clock_mono_ms();
	int64_t emf_ms = sample_ms + s->o.emf_ms;
	bool stop = false;

	beat_begin("watcher");
	while (!stop)
	{
		int64_t now_ms = clock_mono_ms();

		beat();
		if (now_ms >= sample_ms)
		{
			view_sample();
			sample_ms = now_ms + SAMPLE_MS;
		}
		if (s->o.emf_ms > 0 && now_ms >= emf_ms)
		{
			print_emf(s);
			emf_ms = now_ms + s->o.emf_ms;
		}
		pthread_mutex_lock(&s->lock);
		end_the_old(s);
		if (!s->stop)
			(void) cond_wait_ms(&s->changed, &s->lock, WATCH_MS);
		stop = s->stop;
		pthread_mutex_unlock(&s->lock);
	}
	beat_end();
	return NULL;
}

/*
 * The whole
 */
static bool
start_daemon(Serve *s, Err *err)
{
	s->daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL,
		on_request, s, MHD_OPTION_LISTEN_SOCKET, s->fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned) CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEADER_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) SILENT_SECONDS,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
	return s->daemon ||
		   err_set(err, ERR_INTERNAL, 0,
				   "could not start the thread that answers http.listen");
}

static void
log_listening(const Serve *s)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	char host[HOST_MAX];
	char port[16];
	bool v6;

	if (getsockname(s->fd, (struct sockaddr *) &sa, &n) != 0 ||
		getnameinfo((struct sockaddr *) &sa, n, host, sizeof(host), port,
					sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	v6 = sa.ss_family == AF_INET6;
	log_info("listening", "address", v6 ? NULL : host, "address6",
			 v6 ? host : NULL, "port", port, NULL);
}

bool
serve_start(const ServeOptions *o, Serve **out, Err *err)
{
	Serve *s;
	bool listens = o->listen[0] != '\0';

	*out = NULL;
	count_set(&stats.role, o->role);
	count_set(&stats.began_us, clock_unix_us());
	stats_moved();
	if (!listens && o->emf_ms <= 0)
		return true;
	s = xcalloc(1, sizeof(*s));
	s->o = *o;
	s->fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	cond_init(&s->changed);
	for (int i = 0; i < CONNECTIONS; i++)
		s->guests[i].fd = -1;
	if ((listens && (!resolve(s, err) || !start_daemon(s, err))) ||
		(pthread_create(&s->watcher, NULL, watch, s) != 0 &&
		 !err_set(err, ERR_INTERNAL, 0, "could not start a thread")))
	{
		if (s->daemon)
			MHD_stop_daemon(s->daemon);
		else if (s->fd >= 0)
			(void) close(s->fd);
		free(s);
		return false;
	}
	if (listens)
		log_listening(s);
	*out = s;
	return true;
}

void
serve_stop(Serve *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->watcher, NULL);
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
