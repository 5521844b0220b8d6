/* Preloaded into a server, gives it a wall clock of its own, which jumps and runs as the file named in
 * LEASEHOLD_CLOCK says. Built and written by clock.rs.
 *
 * The time itself is read by raw system calls: looking up the C library's own functions allocates memory, and the server's
 * allocator reads the time. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* What the file holds. An odd sequence number says that it is being written. */
struct control {
    int64_t sequence;
    int64_t offset_ns; /* how far the clock was ahead at `since_ns` of true time */
    int64_t since_ns;
    int64_t rate_ppm; /* how much faster than true time it runs from there, in millionths */
};

/* A writer that died half-way is not waited for. */
enum { READS_MAX = 10000 };

static const struct control *control;

__attribute__((constructor)) static void open_control(void) {
    const char *path = getenv("LEASEHOLD_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *found = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) control = found;
    close(file);
}

static int64_t read_clock(clockid_t clock) {
    struct timespec at;
    syscall(SYS_clock_gettime, clock, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static int64_t wall_ns(clockid_t clock) {
    int64_t now = read_clock(clock), sequence, ahead = 0;
    if (!control) return now;
    for (int reads = 0; reads < READS_MAX; reads++) {
        sequence = __atomic_load_n(&control->sequence, __ATOMIC_ACQUIRE);
        int64_t offset = __atomic_load_n(&control->offset_ns, __ATOMIC_RELAXED);
        int64_t since = __atomic_load_n(&control->since_ns, __ATOMIC_RELAXED);
        int64_t rate = __atomic_load_n(&control->rate_ppm, __ATOMIC_RELAXED);
        ahead = offset + (int64_t)((__int128)(now - since) * rate / 1000000);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(sequence & 1) && sequence == __atomic_load_n(&control->sequence, __ATOMIC_RELAXED)) break;
    }
    return now + ahead;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, at);
    int64_t now = wall_ns(clock);
    at->tv_sec = now / 1000000000;
    at->tv_nsec = now % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    int64_t now = wall_ns(CLOCK_REALTIME);
    at->tv_sec = now / 1000000000;
    at->tv_usec = now % 1000000000 / 1000;
    return 0;
}

time_t time(time_t *at) {
    time_t now = wall_ns(CLOCK_REALTIME) / 1000000000;
    if (at) *at = now;
    return now;
}
