/* A stretch of bound steps, run one after the other: the tasks of a step in turn, or dealt out to threads that stay awake from the first step to the
   last.

   One parallel region holds the whole stretch. The leading thread says which step it is at by a ticket, which is step << 32 | next task; whoever adds one
   to the ticket has drawn that task of that step, or finds that there is none left. So a thread that comes late, or is not run by the system at all,
   holds up nobody: the leader draws what nobody else does, and waits for tasks only that others have begun. A step of one task is the leader's, and
   nobody is told of it.

   Threads without a task spin for some tens of microseconds, then sleep until the next ticket (on Linux), or give way to others. */
#ifndef CONVLITE_STRETCH_H
#define CONVLITE_STRETCH_H
#include <stdint.h>
#include "float_mode.h"

typedef struct {
    void (*task)(const void *job, int64_t index, char *scratch);
    const void *job;
    int64_t tasks, nanoseconds;
    int threads, subnormals;
} Step;

static void run_alone(const Step *step, char *scratch) {
    if (step->tasks == 0) return; /* it went into a chain */
    const uint64_t mode = float_mode_enter(step->subnormals);
    for (int64_t i = 0; i < step->tasks; i++) step->task(step->job, i, scratch);
    float_mode_leave(mode);
}

static int is_shared(const Step *step) { return step->threads > 1 && step->tasks > 1 && step->tasks < (1 << 30); }

#if defined(_OPENMP) && defined(__GNUC__)
#include <omp.h>
#include <sched.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { SPINS = 1500 }; /* a pause is 15 to 45 ns */

typedef struct {
    uint64_t ticket;
    char line1[120];
    uint64_t done; /* tasks that others than the leader have done, in all steps */
    char line2[120];
    uint32_t rung, asleep; /* tickets so far; sleepers */
} Crew;

static inline void short_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void ring(Crew *crew, uint64_t ticket) {
    __atomic_store_n(&crew->ticket, ticket, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&crew->rung, 1, __ATOMIC_SEQ_CST);
#ifdef __linux__
    if (__atomic_load_n(&crew->asleep, __ATOMIC_SEQ_CST)) syscall(SYS_futex, &crew->rung, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
#endif
}

static void sleep_beyond(Crew *crew, uint64_t ticket) {
#ifdef __linux__
    const uint32_t rung = __atomic_load_n(&crew->rung, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&crew->asleep, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&crew->ticket, __ATOMIC_SEQ_CST) == ticket) syscall(SYS_futex, &crew->rung, FUTEX_WAIT_PRIVATE, rung, 0, 0, 0);
    __atomic_fetch_sub(&crew->asleep, 1, __ATOMIC_SEQ_CST);
#else
    (void)crew, (void)ticket;
    sched_yield();
#endif
}

static void lead(Crew *crew, const Step *steps, int64_t count, char *scratch) {
    uint64_t others = 0;
    for (int64_t i = 0; i < count; i++) {
        const Step *step = steps + i;
        if (!is_shared(step)) {
            run_alone(step, scratch);
            continue;
        }
        ring(crew, (uint64_t)i << 32);
        const uint64_t mode = float_mode_enter(step->subnormals);
        others += (uint64_t)step->tasks;
        for (;;) {
            const int64_t task = (int64_t)(uint32_t)__atomic_fetch_add(&crew->ticket, 1, __ATOMIC_ACQ_REL);
            if (task >= step->tasks) break;
            step->task(step->job, task, scratch);
            others--;
        }
        float_mode_leave(mode);
        for (int spins = 0; __atomic_load_n(&crew->done, __ATOMIC_ACQUIRE) != others;) {
            if (spins < SPINS) {
                spins++;
                short_pause();
            } else {
                sched_yield();
            }
        }
    }
    ring(crew, (uint64_t)count << 32);
}

static void follow(Crew *crew, const Step *steps, int64_t count, int id, char *scratch) {
    int spins = 0;
    for (;;) {
        uint64_t ticket = __atomic_load_n(&crew->ticket, __ATOMIC_ACQUIRE);
        const Step *step = steps + (ticket >> 32);
        if ((int64_t)(ticket >> 32) >= count) return;
        if ((int64_t)(uint32_t)ticket < step->tasks && id < step->threads) {
            ticket = __atomic_fetch_add(&crew->ticket, 1, __ATOMIC_ACQ_REL); /* maybe of a later step than the one looked at */
            step = steps + (ticket >> 32);
            if ((int64_t)(ticket >> 32) >= count) return;
            if ((int64_t)(uint32_t)ticket < step->tasks) {
                const uint64_t mode = float_mode_enter(step->subnormals);
                step->task(step->job, (int64_t)(uint32_t)ticket, scratch);
                float_mode_leave(mode);
                __atomic_fetch_add(&crew->done, 1, __ATOMIC_RELEASE);
            }
            spins = 0;
        } else if (++spins < SPINS) {
            short_pause();
        } else {
            sleep_beyond(crew, ticket);
            spins = 0;
        }
    }
}

static void run_stretch(const Step *steps, int64_t count, int threads, char *scratch, int64_t lane_bytes) {
    if (threads <= 1) {
        for (int64_t i = 0; i < count; i++) run_alone(steps + i, scratch);
        return;
    }
    Crew crew = {.ticket = UINT32_MAX >> 1}; /* of step 0, beyond its tasks */
#pragma omp parallel num_threads(threads)
    {
        const int id = omp_get_thread_num();
        if (id == 0) lead(&crew, steps, count, scratch);
        else follow(&crew, steps, count, id, scratch + id * lane_bytes);
    }
}

#else
#ifdef _OPENMP
#include <omp.h>
#endif

/* A region for each step; without OpenMP one thread runs all. */
static void run_stretch(const Step *steps, int64_t count, int threads, char *scratch, int64_t lane_bytes) {
    for (int64_t s = 0; s < count; s++) {
        const Step *step = steps + s;
        if (threads <= 1 || !is_shared(step)) {
            run_alone(step, scratch);
            continue;
        }
#ifdef _OPENMP
        int64_t i;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
        for (i = 0; i < step->tasks; i++) {
            const uint64_t mode = float_mode_enter(step->subnormals);
            step->task(step->job, i, scratch + omp_get_thread_num() * lane_bytes);
            float_mode_leave(mode);
        }
#else
        run_alone(step, scratch);
#endif
    }
    (void)lane_bytes;
}
#endif
#endif
