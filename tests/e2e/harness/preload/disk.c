// SPDX-License-Identifier: MIT
//
// A preload: the disk of one program. The file of ZKS_TEST_DISK is three int64_t, which may change while it runs: whether an
// fsync() hangs, whether the disk is full, and how many times fsync() was called. The machine's disk is not touched.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct shared {
  volatile int64_t hangs;
  volatile int64_t full;
  int64_t calls;
};

static struct shared nothing;
static struct shared* shared = &nothing;

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("ZKS_TEST_DISK");
  const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void* memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) shared = memory;
  close(fd);
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  __atomic_add_fetch(&shared->calls, 1, __ATOMIC_RELAXED);
  const struct timespec moment = {0, 5000000};
  while (shared->hangs) nanosleep(&moment, NULL);
  return real(fd);
}

// A full disk makes no new files; the temporary ones of an atomic write are such.
static int opened(const char* path, int flags, mode_t mode, int (*real)(const char*, int, ...)) {
  if (shared->full && (flags & O_CREAT) && access(path, F_OK) != 0) {
    errno = ENOSPC;
    return -1;
  }
  return real(path, flags, mode);
}

#define OPEN(name)                                                                       \
  int name(const char* path, int flags, ...) {                                           \
    static int (*real)(const char*, int, ...);                                           \
    if (!real) real = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, #name);           \
    va_list more;                                                                        \
    va_start(more, flags);                                                               \
    const mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(more, int) : 0; \
    va_end(more);                                                                        \
    return opened(path, flags, mode, real);                                              \
  }
OPEN(open)
OPEN(open64)
