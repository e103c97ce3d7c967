// SPDX-License-Identifier: MIT
#include "ops/run_main.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log_output.hpp"
#include "base/memory_reserve.hpp"

namespace zks::ops {
namespace {

void prepare_limits() {
  // 1, not 0: with 0 a dump handler that the kernel pipes to would still get the memory (core(5)).
  const rlimit no_core{1, 1};
  ::setrlimit(RLIMIT_CORE, &no_core);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

// OpenSSL calls malloc(), which knows nothing of the reserve: a lane would break for want of a few KiB.
// Before anything of OpenSSL is used, or it keeps its own.
void let_tls_use_the_reserve() {
  const auto allocate = [](std::size_t bytes, const char*, int) {
    void* at = std::malloc(bytes);
    while (at == nullptr && bytes > 0 && MemoryReserve::give()) at = std::malloc(bytes);
    return at;
  };
  const auto resize = [](void* before, std::size_t bytes, const char*, int) {
    void* at = std::realloc(before, bytes);
    while (at == nullptr && bytes > 0 && MemoryReserve::give()) at = std::realloc(before, bytes);
    return at;
  };
  const auto release = [](void* at, const char*, int) { std::free(at); };
  (void)::CRYPTO_set_mem_functions(allocate, resize, release);
}

}  // namespace

// What is opened next would get the number of standard input, output or error where one is closed, and be
// read or written as that: an access link went into a netlink socket. Nothing can be written to this output,
// so that who prints a link hears that it went nowhere; a log may.
bool open_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    if (::open("/dev/null", fd == STDERR_FILENO ? O_RDWR : O_RDONLY) != fd) return false;
  }
  return true;
}

int run_main(int (*program)(int argc, char** argv), int argc, char** argv) {
  if (!open_standard_descriptors()) return 1;
  let_tls_use_the_reserve();
  const char* name = argc > 0 ? argv[0] : "zks";
  if (sodium_init() < 0) {
    (void)std::fprintf(stderr, "%s: libsodium does not start\n", name);
    return 1;
  }
  (void)std::signal(SIGPIPE, SIG_IGN);
  prepare_limits();
  int status = 1;
  try {
    status = program(argc, argv);
  } catch (const std::exception& error) {
    log::write_line(std::string(name) + ": " + error.what() + "\n");
  }
  log::flush(log::kLastLinesWithin);
  return status;
}

}  // namespace zks::ops
