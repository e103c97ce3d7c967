// SPDX-License-Identifier: MIT
//
// A preload: the wall clock of one program, shifted by the seconds that the file of ZKS_TEST_CLOCK holds, which may
// change while it runs. The machine's clock is not touched. The file is two int64_t: seconds, and how often a timer
// was armed that the kernel cancels when the clock is set.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct shared {
  volatile int64_t seconds;
  int64_t armed;
};

static struct shared nothing;
static struct shared* shared = &nothing;

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("ZKS_TEST_CLOCK");
  const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void* memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) shared = memory;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec* out) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, out);
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) out->tv_sec += shared->seconds;
  return result;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval* restrict out, void* restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}

int timerfd_settime(int fd, int flags, const struct itimerspec* value, struct itimerspec* old) {
  static int (*real)(int, int, const struct itimerspec*, struct itimerspec*);
  if (!real) {
    real = (int (*)(int, int, const struct itimerspec*, struct itimerspec*))dlsym(RTLD_NEXT, "timerfd_settime");
  }
  struct itimerspec shifted = *value;
  if (flags & TFD_TIMER_CANCEL_ON_SET) {  // the only timers of CLOCK_REALTIME
    __atomic_add_fetch(&shared->armed, 1, __ATOMIC_RELAXED);
    shifted.it_value.tv_sec -= shared->seconds;
    if (shifted.it_value.tv_sec < 1) shifted.it_value.tv_sec = 1;
  }
  return real(fd, flags, &shifted, old);
}
