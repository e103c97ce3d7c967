// SPDX-License-Identifier: MIT
//
// A preload: memory that one program lacks now and then. The file of ZKS_TEST_MEMORY is two int64_t, which may change
// while it runs: one of how many requests fails (0: none), and how many failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic int64_t *numbers;
static _Atomic uint64_t calls;

extern void *__libc_malloc(size_t);

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("ZKS_TEST_MEMORY");
  const int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void *at = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at != MAP_FAILED) numbers = at;
}

// Calls are counted and hashed (splitmix64), so that no rhythm of the program's own is met again and again.
static int lacks(void) {
  const int64_t odds = numbers == NULL ? 0 : numbers[0];
  if (odds == 0) return 0;
  uint64_t z = atomic_fetch_add(&calls, 1) * 0x9e3779b97f4a7c15u + (uint64_t)getpid();
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  if ((z ^ (z >> 31)) % (uint64_t)odds != 0) return 0;
  atomic_fetch_add(&numbers[1], 1);
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) { return lacks() ? NULL : __libc_malloc(size); }
