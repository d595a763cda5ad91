/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <assert.h>
#include <string.h>

/* Rounds of tasks that schedule tasks, before descriptors get their turn again. */
#define ROUNDS_MAX 16

void tow__tasks_init(struct tow_loop *loop)
{
	loop->tasks.end = &loop->tasks.first;
	loop->last_tasks.end = &loop->last_tasks.first;
}

void tow_task_init(struct tow_task *task, struct tow_loop *loop, void (*run)(void *user),
                   void *user)
{
	*task = (struct tow_task){ .loop = loop, .run = run, .user = user };
}

void tow_task_init_last(struct tow_task *task, struct tow_loop *loop, void (*run)(void *user),
                        void *user)
{
	tow_task_init(task, loop, run, user);
	task->last = 1;
}

static struct tow__tasks *list_of(const struct tow_task *task)
{
	return task->last ? &task->loop->last_tasks : &task->loop->tasks;
}

void tow_task_schedule(struct tow_task *task)
{
	struct tow__tasks *list = list_of(task);

	if (task->link)
		return;
	task->next = NULL;
	task->link = list->end;
	*list->end = task;
	list->end = &task->next;
}

/* The task may be in the list to come or in the round that runs: only the former has an end to
 * move. */
void tow_task_cancel(struct tow_task *task)
{
	struct tow__tasks *list = list_of(task);

	if (!task->link)
		return;
	*task->link = task->next;
	if (task->next)
		task->next->link = task->link;
	if (list->end == &task->next)
		list->end = task->link;
	task->link = NULL;
}

static void run_round(struct tow_loop *loop, struct tow__tasks *list)
{
	if (!list->first)
		return;
	assert(!loop->round);
	loop->round = list->first;
	loop->round->link = &loop->round;
	list->first = NULL;
	list->end = &list->first;
	while (loop->round) {
		struct tow_task *task = loop->round;
		tow_task_cancel(task);
		task->run(task->user);
	}
}

int tow__tasks_wait(const struct tow_loop *loop)
{
	return loop->tasks.first || loop->last_tasks.first;
}

int tow__tasks_run(struct tow_loop *loop)
{
	for (int rounds = 0; tow__tasks_wait(loop) && rounds < ROUNDS_MAX; rounds++)
		run_round(loop, loop->tasks.first ? &loop->tasks : &loop->last_tasks);
	if (loop->tasks.first)
		run_round(loop, &loop->last_tasks); /* they do not wait for ever */
	return tow__tasks_wait(loop);
}
