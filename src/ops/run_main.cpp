// SPDX-License-Identifier: MIT
#include "ops/run_main.hpp"

#include <csignal>
#include <cstdio>
#include <exception>

#include <sodium.h>
#include <sys/resource.h>

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

}  // namespace

int run_main(int (*program)(int argc, char** argv), int argc, char** argv) {
  const char* name = argc > 0 ? argv[0] : "zks";
  if (sodium_init() < 0) {
    std::fprintf(stderr, "%s: libsodium does not start\n", name);
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  prepare_limits();
  try {
    return program(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace zks::ops
