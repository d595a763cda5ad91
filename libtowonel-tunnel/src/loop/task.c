/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <assert.h>
#include <string.h>

/* Rounds of tasks that schedule tasks, before descriptors get their turn again. */
#define ROUNDS_MAX 16

void tow__tasks_init(struct tow_loop *loop)
{
	loop->tasks_end = &loop->tasks;
}

void tow_task_init(struct tow_task *task, struct tow_loop *loop, void (*run)(void *user),
                   void *user)
{
	*task = (struct tow_task){ .loop = loop, .run = run, .user = user };
}

void tow_task_schedule(struct tow_task *task)
{
	struct tow_loop *loop = task->loop;

	if (task->link)
		return;
	task->next = NULL;
	task->link = loop->tasks_end;
	*loop->tasks_end = task;
	loop->tasks_end = &task->next;
}

/* The task may be in the list to come or in the round that runs: only the former has an end to
 * move. */
void tow_task_cancel(struct tow_task *task)
{
	if (!task->link)
		return;
	*task->link = task->next;
	if (task->next)
		task->next->link = task->link;
	if (task->loop->tasks_end == &task->next)
		task->loop->tasks_end = task->link;
	task->link = NULL;
}

int tow__tasks_run(struct tow_loop *loop)
{
	assert(!loop->round);
	for (int rounds = 0; loop->tasks && rounds < ROUNDS_MAX; rounds++) {
		loop->round = loop->tasks;
		loop->round->link = &loop->round;
		loop->tasks = NULL;
		loop->tasks_end = &loop->tasks;
		while (loop->round) {
			struct tow_task *task = loop->round;
			tow_task_cancel(task);
			task->run(task->user);
		}
	}
	return loop->tasks != NULL;
}
