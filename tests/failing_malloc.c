/* Fails the n-th allocation that a stretch of code asks for. Preloaded by test_faults.py, glibc only.
 *
 * watch(low, high, least): the calls to look at are those that return to an address in [low, high) and ask for at
 * least so many bytes. fail(n): the n-th of them from now on, counted from 1, gets NULL, and only that one; 0 fails none.
 * asked(): how many there were since. alive(): how many blocks from them are not yet freed, whenever they were taken;
 * 0 where low is 0.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

enum { SLOTS = 4096 };
static _Atomic(void *) blocks[SLOTS];
static atomic_int taken, most; /* taken slots; one behind the last that ever was */
static atomic_long count, failing;
static atomic_uintptr_t low, high;
static atomic_size_t least;

void watch(uintptr_t from, uintptr_t to, size_t bytes) {
    low = from;
    high = to;
    least = bytes;
}

void fail(long n) {
    count = 0;
    failing = n;
}

long asked(void) { return count; }
long alive(void) { return taken; }

static int watched(const void *caller, size_t bytes) {
    return (uintptr_t)caller - low < high - low && bytes >= least;
}

static int refused(void) {
    if (++count != failing) return 0;
    errno = ENOMEM;
    return 1;
}

static void *noted(void *block) {
    for (int i = 0; block && low && i < SLOTS; i++) { /* low is 0: all of the process, far too many */
        void *empty = NULL;
        if (atomic_compare_exchange_strong(&blocks[i], &empty, block)) {
            int before = most;
            while (before <= i && !atomic_compare_exchange_weak(&most, &before, i + 1)) {}
            taken++;
            break;
        }
    }
    return block;
}

static void forget(void *block) {
    for (int i = 0; block && taken && i < most; i++) {
        void *found = block;
        if (atomic_compare_exchange_strong(&blocks[i], &found, NULL)) {
            taken--;
            break;
        }
    }
}

#define ALLOCATE(bytes, call) \
    if (!watched(__builtin_return_address(0), bytes)) return call; \
    return refused() ? NULL : noted(call)

void *malloc(size_t size) { ALLOCATE(size, __libc_malloc(size)); }
void *calloc(size_t n, size_t size) { ALLOCATE(n * size, __libc_calloc(n, size)); }
void *aligned_alloc(size_t line, size_t size) { ALLOCATE(size, __libc_memalign(line, size)); }
void *memalign(size_t line, size_t size) { ALLOCATE(size, __libc_memalign(line, size)); }

int posix_memalign(void **block, size_t line, size_t size) {
    int ours = watched(__builtin_return_address(0), size);
    if (ours && refused()) return ENOMEM;
    void *found = __libc_memalign(line, size);
    if (!found) return ENOMEM;
    *block = ours ? noted(found) : found;
    return 0;
}

void *realloc(void *block, size_t size) {
    int ours = watched(__builtin_return_address(0), size);
    if (ours && refused()) return NULL; /* the old block stays */
    void *moved = __libc_realloc(block, size);
    if (moved || !size) forget(block);
    return ours ? noted(moved) : moved;
}

void free(void *block) {
    forget(block);
    __libc_free(block);
}
