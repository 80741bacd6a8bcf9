// Package worker serves a queue of exports: it waits for their jobs, makes
// attempts at them, and knows what each way to fail means.
//
// A [Worker] serves a [Queue] in Redis; any number of workers on any number of
// machines may serve the same one, with the same archive. A worker without a Queue
// has its tasks in its own process: those of its schedule, or, as a [Local], those of
// callers that wait. A [Client] asks for exports and tells how they fare. [Classify]
// is the one table from an error to its cause, and to what follows: asynq and the
// dispatcher both run what it says.
//
// # Tasks
//
// The queue has four types of tasks:
//
//   - export:poll asks an export's job whether it is ready. If it is, it fetches the
//     export, or adds an export:fetch if all slots are taken. If it is not, the
//     export becomes a member of its group, and the task ends; without a Queue the
//     task is snoozed.
//   - export:fetch makes attempts at the export until it has landed.
//   - place:poll looks after the members of a group that are due: it lists their
//     place, or asks for their jobs, and adds an export:fetch for each that has
//     ended.
//   - place:discover comes from a schedule. It lists the jobs of a place and adds
//     an export:poll for each new one.
//
// Any task may run twice, or be lost with its Redis. So the truth about an export
// is in the archive: either it has landed, or its record tells what was tried and
// what is left of its budget. The lock of the record decides between two runs.
//
// # Glossary
//
//   - task, queue, retry, handler: as in asynq, which this package uses. Each type
//     of task has a queue of its own.
//   - run: one run of a task by a worker. It reads the task, takes one action (it
//     asks the job, or makes an attempt to fetch), and writes down what came of it.
//   - attempt: one try to get an export, from asking its job to landing.
//   - snooze: the task comes back after a delay; that is no failure.
//   - cause: why an export has not landed, one of a closed list ([Causes]).
//   - outcome: what an error means: its cause, the exit code, and its budget.
//   - budget: how many attempts may end by one cause before the export has failed.
//     What is not the export's fault, like a full disk, has no end: its task is
//     snoozed until that has passed.
//   - record: what the archive keeps of an export that has not landed: its state,
//     its counters, and its lock. See [archive.Record].
//   - member, group: an export that waits for its job without a task is a member of
//     the group of its place and account. Redis has it, the ledger knows that it was
//     asked for, and it costs a worker nothing until it is due.
//   - turn: one look after the members of a group that are due, by one worker, for as
//     long as it renews its lease.
//   - pending: neither failed nor cancelled; workers are still to fetch it. An
//     export that has failed or was cancelled is settled, until someone asks for
//     it again.
//   - schedule: the places that workers look for new jobs in, and when. The
//     scheduler enqueues a discover task when it is due.
//   - recoverer: the part of a worker that brings back what is missing from the
//     queue ([Queue.Requeue]), and quarantines what would block it.
//   - dispatcher: runs the tasks of a worker without a Queue, each when it is due and
//     a slot is free.
//   - ensure: an [Ensurer] has a job made for a window, or finds the one that was made
//     before, and waits until its export has landed.
//   - recheck: what has landed is proven again, bit by bit, while a worker runs: shard by
//     shard, the one that was rechecked the longest ago first.
//   - announce: whoever adds a poll or a fetch publishes the name of its queue, and idle
//     workers look into that.
//   - orphaned: a task whose worker has died, so that its lease has ended. asynq
//     gives it to another worker.
//   - quarantined: a task that can't be read, and that no worker takes any more.
//   - drain: a worker that is to stop takes no new task (its soft context has
//     ended) and gives those that run some time; then its hard context ends them.
//     Nothing that was received is lost.
package worker
