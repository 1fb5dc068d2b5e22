/* A stretch of bound steps, run one after the other. The tasks of a step run in order on one thread, or are shared among threads that stay awake from
   the first step to the last.

   One parallel region holds all from the first shared step to the last. Each thread has a lane, which says what nobody has begun yet of its share of the
   step at hand: neighbouring tasks, and the same ones of each step that is cut alike. So most of what a thread reads it wrote itself, one step or one call
   before, and finds in its own cache. (When threads drew from one counter, the 14x14 depthwise layers of MobileNetV2 took two threads twice as long as
   one.) Who has done its share goes on at the ends of the others'. So a thread that comes late, or is not run by the system at all, holds up nobody: the
   others do its share, and wait for tasks only that it has begun. The leader gives out the lanes of the next step when all tasks of this one are done. A
   step of one task is the leader's, and nobody is told of it.

   Threads without a task spin for some tens of microseconds, then sleep until the next step (on Linux), or give way to others. */
#ifndef CONVLITE_STRETCH_H
#define CONVLITE_STRETCH_H
#include <stdint.h>
#include "float_mode.h"

enum { LANE_BYTES = 256 }; /* at the end of each thread's scratch: lanes are two cache lines apart, as lines are fetched in pairs */

typedef struct {
    void (*task)(const void *job, int64_t index, char *scratch);
    const void *job;
    int64_t tasks, nanoseconds;
    int threads, subnormals;
} Step;

/* Nothing fetches the weights of the next step: pieces of them (64 KB to 1 MB in all, into L2) behind each task made six networks 0.96 to 1.03 times as
   fast on one thread, ResNet-18 and MobileNetV2 among them. Weights that were read just before each step, untimed, would win 3 to 8%. */
static void run_tasks(const Step *step, int64_t first, int64_t count, char *scratch) {
    const uint64_t mode = float_mode_enter(step->subnormals);
    for (int64_t i = first; i < first + count; i++) step->task(step->job, i, scratch);
    float_mode_leave(mode);
}

static void run_alone(const Step *steps, int64_t count, char *scratch) {
    for (int64_t i = 0; i < count; i++) {
        if (steps[i].tasks > 0) run_tasks(steps + i, 0, steps[i].tasks, scratch);
    }
}

static int is_shared(const Step *step) { return step->threads > 1 && step->tasks > 1 && step->tasks < (1 << 22); }

#if defined(_OPENMP) && defined(__GNUC__)
#include <omp.h>
#include <sched.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum {
    SPINS = 1500,       /* a pause is 15 to 45 ns */
    DRAWS = 16,         /* with many tasks, a thread begins this part of its share at a time: 1/DRAWS */
    MOST_STEPS = 1 << 20 /* the most steps of a region: no lane holds the same value twice */
};

typedef struct {
    uint64_t left; /* step << 44 | next task << 22 | end */
    char line1[120];
    uint64_t done; /* how many tasks this thread has done, in all steps */
    char line2[120];
} Lane;

#define LEAVE UINT64_MAX

typedef struct {
    const Step *steps;
    char *scratch, *lanes;
    int64_t scratch_bytes, lane_step; /* from one thread's to the next's */
    char line[120];
    uint32_t rung, asleep; /* steps so far; sleepers */
    int cpu;               /* the CPU of the leader */
} Crew;

static inline char *scratch_of(const Crew *crew, int id) { return crew->scratch + id * crew->scratch_bytes; }

static inline Lane *lane_of(const Crew *crew, int id) { return (Lane *)(crew->lanes + id * crew->lane_step); }

static inline void short_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Give all threads their shares of a step, or, with NULL, tell them that they may leave. */
static void give_out(Crew *crew, const Step *step, int threads) {
    for (int id = threads - 1; id >= 0; id--) {
        uint64_t left = LEAVE;
        if (step) {
            const int64_t size = step->tasks / threads, longer = step->tasks % threads;
            const int64_t first = id * size + (id < longer ? id : longer), end = first + size + (id < longer);
            left = (uint64_t)(step - crew->steps) << 44 | (uint64_t)first << 22 | (uint64_t)end;
        }
        __atomic_store_n(&lane_of(crew, id)->left, left, __ATOMIC_SEQ_CST);
    }
}

static void ring(Crew *crew, const Step *step, int threads) {
    give_out(crew, step, threads);
    __atomic_fetch_add(&crew->rung, 1, __ATOMIC_SEQ_CST);
#ifdef __linux__
    if (__atomic_load_n(&crew->asleep, __ATOMIC_SEQ_CST)) syscall(SYS_futex, &crew->rung, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
#endif
}

/* Leave the leader's CPU. If no CPU is idle, even if the others run only low-priority work, Linux wakes a thread on the CPU of its waker, and
   leaves it there for many calls, as it sleeps too much to be a load: on a machine with other work every second run gained nothing from threads. */
static void make_way(const Crew *crew) {
#ifdef __linux__
    cpu_set_t mine, others;
    if (crew->cpu < 0 || sched_getcpu() != crew->cpu || sched_getaffinity(0, sizeof(mine), &mine) != 0) return;
    others = mine;
    CPU_CLR((size_t)crew->cpu, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof(others), &others) == 0) sched_setaffinity(0, sizeof(mine), &mine);
#else
    (void)crew;
#endif
}

static void sleep_beyond(Crew *crew, const Lane *lane, uint64_t left) {
#ifdef __linux__
    const uint32_t rung = __atomic_load_n(&crew->rung, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&crew->asleep, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lane->left, __ATOMIC_SEQ_CST) == left) syscall(SYS_futex, &crew->rung, FUTEX_WAIT_PRIVATE, rung, 0, 0, 0);
    __atomic_fetch_sub(&crew->asleep, 1, __ATOMIC_SEQ_CST);
#else
    (void)crew, (void)lane, (void)left;
    sched_yield();
#endif
}

/* Take some tasks from the front of a thread's own lane, or from the end of another's, and run them; return how many. */
static int64_t run_some(Crew *crew, int id, int from, int threads) {
    uint64_t *const lane = &lane_of(crew, from)->left, left = __atomic_load_n(lane, __ATOMIC_ACQUIRE), rest;
    const uint64_t most = (1 << 22) - 1;
    const Step *step;
    int64_t next, end, count;
    do {
        next = (int64_t)(left >> 22 & most), end = (int64_t)(left & most);
        if (next >= end) return 0;
        step = crew->steps + (left >> 44);
        count = step->tasks / (DRAWS * threads) + 1;
        if (count > end - next) count = end - next;
        rest = from == id ? left + ((uint64_t)count << 22) : left - (uint64_t)count;
    } while (!__atomic_compare_exchange_n(lane, &left, rest, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    run_tasks(step, from == id ? next : end - count, count, scratch_of(crew, id));
    return count;
}

/* Take tasks of the thread's own lane; if there are none, those of the next thread that has some. */
static int64_t run_any(Crew *crew, int id, int threads) {
    int64_t count = 0;
    for (int i = id; i < id + threads && count == 0; i++) count = run_some(crew, id, i % threads, threads);
    return count;
}

/* A leader that waits does not sleep. If it does, so that its CPU may draw the thread that the system took another CPU from, two threads beside a process
   that spins on one of two cores are no faster: 0.91 to 1.28 times the time of one thread there, five networks twice; 0.87 to 1.15 as it is. */
static void lead(Crew *crew, int64_t count, int threads) {
    uint64_t others = 0, done;
    for (int64_t i = 0; i < count; i++) {
        const Step *step = crew->steps + i;
        if (!is_shared(step)) {
            run_alone(step, 1, crew->scratch);
            continue;
        }
        ring(crew, step, threads);
        int64_t mine = 0, more;
        while ((more = run_any(crew, 0, threads)) > 0) mine += more;
        others += (uint64_t)(step->tasks - mine);
        for (int spins = 0;; spins++) {
            done = 0;
            for (int id = 1; id < threads; id++) done += __atomic_load_n(&lane_of(crew, id)->done, __ATOMIC_ACQUIRE);
            if (done == others) break;
            if (spins < SPINS) {
                short_pause();
            } else {
                sched_yield();
                spins = SPINS;
            }
        }
    }
    ring(crew, 0, threads);
}

static void follow(Crew *crew, int id, int threads) {
    Lane *lane = lane_of(crew, id);
    uint64_t left, seen = 0, done = 0;
    make_way(crew);
    for (int spins = 0; (left = __atomic_load_n(&lane->left, __ATOMIC_ACQUIRE)) != LEAVE;) {
        const int64_t count = left == seen ? 0 : run_any(crew, id, threads);
        if (count) {
            done += (uint64_t)count;
            __atomic_store_n(&lane->done, done, __ATOMIC_RELEASE);
            spins = 0;
            continue;
        }
        seen = left; /* until the next step there is nothing to do */
        if (++spins < SPINS) {
            short_pause();
        } else {
            sleep_beyond(crew, lane, left);
            make_way(crew);
            spins = 0;
        }
    }
}

/* Run the steps from the first shared one to the last. */
static void run_region(const Step *steps, int64_t count, int threads, char *scratch, int64_t scratch_bytes) {
    Crew crew = {.steps = steps, .scratch = scratch, .scratch_bytes = scratch_bytes, .lane_step = scratch_bytes};
    crew.lanes = scratch + scratch_bytes - LANE_BYTES;
#ifdef __linux__
    crew.cpu = sched_getcpu();
#endif
    for (int id = 0; id < threads; id++) {
        lane_of(&crew, id)->left = 0;
        lane_of(&crew, id)->done = 0;
    }
#pragma omp parallel num_threads(threads)
    {
        const int id = omp_get_thread_num(), present = omp_get_num_threads();
        if (id == 0) lead(&crew, count, present);
        else follow(&crew, id, present);
    }
}

/* One step; a thread leaves when all its tasks are begun. Against threads that draw from one counter, two cores of a Zen 4: 55 layers 1.02 times as
   fast, single ones 0.90 to 1.16. */
static void run_shared(const Step *step, int threads, char *scratch, int64_t scratch_bytes) {
    enum { SHARES = 32 }; /* of more threads the others have none, and help */
    Lane lanes[SHARES];
    Crew crew = {.steps = step, .scratch = scratch, .scratch_bytes = scratch_bytes, .lanes = (char *)lanes, .lane_step = sizeof(Lane)};
    const int shares = threads < SHARES ? threads : SHARES;
#ifdef __linux__
    crew.cpu = sched_getcpu();
#endif
    give_out(&crew, step, shares);
#pragma omp parallel num_threads(threads)
    {
        const int id = omp_get_thread_num();
        if (id) make_way(&crew);
        while (run_any(&crew, id, shares) > 0) {}
    }
}

static void run_stretch(const Step *steps, int64_t count, int threads, char *scratch, int64_t scratch_bytes) {
    while (count > 0) {
        int64_t first = 0, end;
        while (first < count && !(threads > 1 && is_shared(steps + first))) first++;
        run_alone(steps, first, scratch);
        if (first == count) return;
        end = count - first > MOST_STEPS ? first + MOST_STEPS : count;
        while (!is_shared(steps + end - 1)) end--;
        run_region(steps + first, end - first, threads, scratch, scratch_bytes);
        steps += end, count -= end;
    }
}

#else
#ifdef _OPENMP
#include <omp.h>
#endif

/* A region for each step; without OpenMP one thread runs all. */
static void run_shared(const Step *step, int threads, char *scratch, int64_t scratch_bytes) {
#ifdef _OPENMP
    int64_t i;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (i = 0; i < step->tasks; i++) run_tasks(step, i, 1, scratch + omp_get_thread_num() * scratch_bytes);
#else
    run_alone(step, 1, scratch);
    (void)threads, (void)scratch_bytes;
#endif
}

static void run_stretch(const Step *steps, int64_t count, int threads, char *scratch, int64_t scratch_bytes) {
    for (int64_t s = 0; s < count; s++) {
        if (threads > 1 && is_shared(steps + s)) run_shared(steps + s, threads, scratch, scratch_bytes);
        else run_alone(steps + s, 1, scratch);
    }
}
#endif

/* One step, in order or shared among threads, each of which has scratch_bytes of the scratch. */
static void run_one(void (*task)(const void *, int64_t, char *), const void *job, int64_t tasks, int threads, char *scratch, int64_t scratch_bytes,
                    int subnormals) {
    const Step step = {task, job, tasks, 0, threads, subnormals};
    if (is_shared(&step)) run_shared(&step, threads, scratch, scratch_bytes);
    else run_alone(&step, 1, scratch);
}
#endif
