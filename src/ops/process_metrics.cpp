// SPDX-License-Identifier: MIT
#include "ops/process_metrics.hpp"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <sys/resource.h>
#include <unistd.h>

#include "ops/families.hpp"

namespace zks::ops {
namespace {

// proc(5), statm: size and resident pages.
double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double size = 0;
  double resident = 0;
  file >> size >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double open_descriptors() {
  std::error_code ec;
  double count = -1;  // the one that lists them
  for (auto at = std::filesystem::directory_iterator("/proc/self/fd", ec);
       !ec && at != std::filesystem::directory_iterator(); at.increment(ec)) {
    ++count;
  }
  return std::max(count, 0.0);
}

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double started_at() {
  static const double kStarted =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return kStarted;
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  Families out;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  out.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes());
  out.gauge("process_open_fds", "Open file descriptors.", open_descriptors());
  out.gauge("process_max_fds", "File descriptors that are allowed.", static_cast<double>(files.rlim_cur));
  out.counter("process_cpu_seconds_total", "Processor time, user and system.", processor_seconds());
  out.gauge("process_start_time_seconds", "When /metrics began, in seconds since 1970.", started_at());
  out.gauges("zks_build_info", "1; the version is the label.", "version", {{1, ZKS_VERSION}});
  auto families = out.take();
  families.back().metric.front().label.push_back({"program", program_});
  return families;
}

}  // namespace zks::ops
