// SPDX-License-Identifier: MIT
//
// A thread that nobody waits for, for calls that may hang: a write, fsync() or getaddrinfo(). It takes no
// signals, which are for whoever waits for them.
#pragma once

#include <csignal>
#include <thread>
#include <utility>

#include <pthread.h>

namespace zks {

// `work` shares what it needs; it may run until the process ends. std::system_error when there is no thread
// to be had.
template <class Work>
void run_in_background(Work work) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread(std::move(work)).detach();
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace zks
