/* SPDX-License-Identifier: MIT */

#include "workers.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <towonel/wire/limits.h>
#include "udp/listener.h"
#include "visitor.h"
#include "worker.h"

static void tell_end(void *user);

/* A reader has it for a look-up, so a writer is not to wait for more of them, where the C library
 * can be told. */
static void init_table_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
#ifdef __GLIBC__
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

int tow__workers_init(struct workers *all, const struct tow_edge_config *config,
                      const struct timing *timing)
{
	int rc = 0;

	all->timing = *timing;
	all->visitors_max = config->connections_max;
	init_table_lock(&all->table_lock);
	pthread_mutex_init(&all->limits_lock, NULL);
	pthread_mutex_init(&all->gate, NULL);
	pthread_cond_init(&all->arrived, NULL);
	pthread_cond_init(&all->go, NULL);
	pthread_mutex_lock(&all->gate);
	tow_timer_init(&all->again, config->loop, tell_end, all);
	tow__source_limit_init(&all->sources, config->connections_per_address);
	tow__udp_limits_init(&all->udp, config->udp_sessions_max, config->udp_sessions_per_port,
	                     config->udp_sessions_per_address);
	if (config->connection_rate > 0)
		all->rates = tow_rate_limit_new(config->connection_rate, config->connection_burst);
	tow__roster_init(&all->roster, config->metrics);
	tow__tenants_init(&all->tenants);
	all->table = tow_route_table_new();
	all->count = config->workers > 0 ? config->workers : 1;
	if (all->count > TOW_WORKERS_MAX)
		all->count = TOW_WORKERS_MAX;
	all->list = calloc(all->count, sizeof(*all->list));
	if (all->list == NULL)
		all->count = 0;
	if (all->table == NULL || all->list == NULL ||
	    (config->connection_rate > 0 && all->rates == NULL))
		return TOW_ENOMEM;
	for (unsigned i = 0; rc == 0 && i < all->count; i++) {
		all->list[i].index = i;
		rc = tow__worker_init(&all->list[i], all, config);
	}
	return rc;
}

/* A thread waits at the gate until the owner's has made everything ready. */
static void *run(void *user)
{
	struct worker *w = user;

	pthread_mutex_lock(&w->all->gate);
	pthread_mutex_unlock(&w->all->gate);
	tow_loop_run(w->loop);
	return NULL;
}

static int make_threads(struct workers *all)
{
	for (unsigned i = 1; i < all->count; i++) {
		if (pthread_create(&all->list[i].thread, NULL, run, &all->list[i]) != 0)
			return TOW_ENOMEM;
		all->threads++;
	}
	return 0;
}

int tow__workers_open(struct workers *all, const struct tow_edge_config *config,
                      struct tow_error *err)
{
	int rc = make_threads(all);

	if (rc != 0)
		return tow_error_set(err, rc, "cannot start a thread");
	for (unsigned i = 0; rc == 0 && i < all->count; i++)
		rc = tow__worker_open(&all->list[i], config, err);
	return rc;
}

/* --- pauses --- */

static void on_pause(struct worker *w, void *message)
{
	struct workers *all = w->all;
	unsigned pause;

	(void)message;
	pthread_mutex_lock(&all->gate);
	pause = all->pauses;
	all->paused++;
	pthread_cond_signal(&all->arrived);
	while (all->pauses == pause) /* the next one may have begun before this thread wakes */
		pthread_cond_wait(&all->go, &all->gate);
	pthread_mutex_unlock(&all->gate);
}

static void go_on(void *user)
{
	struct workers *all = user;

	if (all->threads == 0)
		return;
	all->pauses++;
	pthread_cond_broadcast(&all->go);
	pthread_mutex_unlock(&all->gate);
}

/* The first worker's thread has what is the others' until go_on. Returns 0, TOW_ENOMEM. */
static int pause_all(void *user)
{
	struct workers *all = user;
	unsigned told = 0;
	int rc = 0;

	if (all->threads == 0)
		return 0;
	pthread_mutex_lock(&all->gate);
	all->paused = 0;
	for (; told < all->threads && rc == 0; told += rc == 0)
		rc = tow__worker_mail(&all->list[told + 1], on_pause, NULL, 0);
	while (all->paused < told)
		pthread_cond_wait(&all->arrived, &all->gate);
	if (rc != 0)
		go_on(all);
	return rc;
}

void tow__workers_start(struct workers *all)
{
	all->started = 1;
	pthread_mutex_unlock(&all->gate);
	tow_loop_set_pause(all->list[0].loop, pause_all, go_on, all);
}

/* --- another process takes over --- */

static void yield(struct worker *w, void *message)
{
	tow__worker_yield(w, *(const int *)message);
}

void tow__workers_yield(struct workers *all, int yields)
{
	tow__workers_mail(&all->list[0], yield, &yields, sizeof(yields));
	tow__worker_yield(&all->list[0], yields);
}

static int is_relay(const struct worker *w)
{
	return w->endpoint != NULL &&
	       tow_udp_socket_has_before(tow_quic_endpoint_socket(w->endpoint));
}

int tow__workers_are_relay(struct workers *all)
{
	int relay = 0;

	if (pause_all(all) != 0)
		return 1; /* as far as anybody knows */
	for (unsigned i = 0; i < all->count; i++)
		relay |= is_relay(&all->list[i]);
	go_on(all);
	return relay;
}

/* --- the way down --- */

static void drain(struct worker *w, void *message)
{
	tow__worker_drain(w, *(const int *)message);
}

void tow__workers_drain(struct workers *all, int hurried)
{
	atomic_store(&all->draining, 1);
	tow__workers_mail(&all->list[0], drain, &hurried, sizeof(hurried));
	tow__worker_drain(&all->list[0], hurried);
}

/* From here on there is one thread. What was mailed is read when the loops go. */
static void join_threads(struct workers *all)
{
	if (all->started)
		tow_loop_set_pause(all->list[0].loop, NULL, NULL, NULL);
	for (unsigned i = 1; i <= all->threads; i++)
		tow_loop_stop(all->list[i].loop);
	if (!all->started)
		tow__workers_start(all);
	for (unsigned i = 1; i <= all->threads; i++)
		pthread_join(all->list[i].thread, NULL);
	all->threads = 0;
}

static void end_all(struct workers *all)
{
	join_threads(all);
	all->over = 1;
	for (unsigned i = 0; i < all->count; i++)
		tow__worker_end(&all->list[i]);
}

static void on_ended(struct worker *first, void *message)
{
	(void)message;
	first->all->ended(first->all->user);
}

/* Behind what the others have mailed to the first. */
static void tell_end(void *user)
{
	struct workers *all = user;

	if (all->count == 1)
		on_ended(&all->list[0], NULL);
	else if (tow__worker_mail(&all->list[0], on_ended, NULL, 0) != 0)
		tow_timer_start_in(&all->again, TOW_NSEC_PER_MSEC);
}

void tow__workers_end(struct workers *all)
{
	end_all(all);
	tell_end(all);
}

void tow__workers_deinit(struct workers *all)
{
	end_all(all);
	tow_timer_stop(&all->again);
	for (unsigned i = all->count; i-- > 0;)
		tow__worker_deinit(&all->list[i]);
	free(all->list);
	tow_route_table_free(all->table);
	tow__source_limit_deinit(&all->sources);
	tow_rate_limit_free(all->rates);
	tow__udp_limits_deinit(&all->udp);
	tow__tenants_deinit(&all->tenants);
	tow__roster_deinit(&all->roster);
	pthread_cond_destroy(&all->arrived);
	pthread_cond_destroy(&all->go);
	pthread_mutex_destroy(&all->gate);
	pthread_mutex_destroy(&all->limits_lock);
	pthread_rwlock_destroy(&all->table_lock);
}

static void on_deserted(struct worker *first, void *message)
{
	(void)message;
	first->all->deserted(first->all->user);
}

int tow__workers_are_deserted(const struct workers *all)
{
	return atomic_load(&all->visitors) == 0 && atomic_load(&all->sessions) == 0;
}

void tow__workers_left(struct worker *w, atomic_size_t *counter)
{
	struct workers *all = w->all;

	if (atomic_fetch_sub(counter, 1) > 1 || !atomic_load(&all->draining) ||
	    !tow__workers_are_deserted(all) || all->over)
		return;
	if (w->index == 0)
		on_deserted(w, NULL);
	else
		tow__worker_mail(&all->list[0], on_deserted, NULL, 0);
}

/* --- mail --- */

struct letter {
	struct worker *to;
	void (*fn)(struct worker *w, void *message);
	max_align_t message[];
};

static struct letter *write_letter(struct worker *to, void (*fn)(struct worker *w, void *message),
                                   size_t len)
{
	struct letter *letter = malloc(sizeof(*letter) + len);

	if (letter != NULL)
		*letter = (struct letter){ .to = to, .fn = fn };
	return letter;
}

static void deliver(void *user)
{
	struct letter *letter = user;

	letter->fn(letter->to, letter->message);
	free(letter);
}

static int send_letter(struct letter *letter)
{
	int rc = tow_loop_post(letter->to->loop, deliver, letter);

	if (rc != 0)
		free(letter);
	return rc;
}

int tow__worker_mail(struct worker *to, void (*fn)(struct worker *w, void *message),
                     const void *message, size_t len)
{
	struct letter *letter = write_letter(to, fn, len);

	if (letter == NULL)
		return TOW_ENOMEM;
	if (len > 0)
		memcpy(letter->message, message, len);
	return send_letter(letter);
}

void tow__workers_mail(const struct worker *from, void (*fn)(struct worker *w, void *message),
                       const void *message, size_t len)
{
	struct workers *all = from->all;

	for (unsigned i = 0; i < all->count; i++)
		if (i != from->index && tow__worker_mail(&all->list[i], fn, message, len) != 0)
			tow_log_error(from->log,
			              "out of memory: a worker does not hear of a change",
			              tow_f_uint("worker", i));
}

struct packet {
	uint16_t service_port;
	unsigned home;
	struct tow_udp_packet packet;
	uint8_t bytes[];
};

static void on_packet(struct worker *w, void *message)
{
	struct packet *p = message;
	struct udp_listener *listener;

	atomic_fetch_sub(&w->mail, 1);
	p->packet.bytes.base = p->bytes;
	if (p->service_port == 0) {
		if (w->endpoint != NULL)
			tow_quic_endpoint_hand(w->endpoint, &p->packet);
		return;
	}
	listener = tow__ports_udp(&w->ports, p->service_port);
	if (listener != NULL)
		tow__udp_listener_take(listener, &p->packet, p->home);
}

void tow__worker_mail_packet(struct worker *to, const struct tow_udp_packet *packet,
                             uint16_t service_port, unsigned home)
{
	struct letter *letter = NULL;
	struct packet *p;

	if (atomic_fetch_add(&to->mail, 1) < TOW_WORKER_MAIL_MAX)
		letter = write_letter(to, on_packet, sizeof(*p) + packet->bytes.len);
	if (letter != NULL) {
		p = (struct packet *)letter->message;
		p->service_port = service_port;
		p->home = home;
		p->packet = *packet;
		memcpy(p->bytes, packet->bytes.base, packet->bytes.len);
	}
	if (letter == NULL || send_letter(letter) != 0)
		atomic_fetch_sub(&to->mail, 1);
}

/* --- routes --- */

void tow__routes_lock(const struct worker *w)
{
	if (w->index > 0)
		pthread_rwlock_rdlock(&w->all->table_lock);
}

void tow__routes_unlock(const struct worker *w)
{
	if (w->index > 0)
		pthread_rwlock_unlock(&w->all->table_lock);
}
