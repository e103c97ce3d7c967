// SPDX-License-Identifier: MIT
//
// Metric families put together at the moment of a scrape, for a prometheus::Collectable's Collect(): nothing
// is registered and nothing of the library is near the work that is counted. metrics_server.hpp serves them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

namespace zks::ops {

// A count as metrics have it; exact up to 2^53.
inline double number(std::uint64_t value) {
  return static_cast<double>(value);
}

class Families {
 public:
  // One label, or none. Values come from sets of fixed size: no rooms, no addresses, no users.
  struct Sample {
    double value = 0;
    std::string label;
  };

  void counter(std::string name, std::string help, double value);
  void gauge(std::string name, std::string help, double value);
  void counters(std::string name, std::string help, const std::string& label, std::vector<Sample> samples);
  void gauges(std::string name, std::string help, const std::string& label, std::vector<Sample> samples);
  std::vector<prometheus::MetricFamily> take() { return std::move(families_); }

  // For a family with more than one label.
  using Labels = std::vector<std::pair<std::string, std::string>>;
  void counters(std::string name, std::string help, const std::vector<std::pair<Labels, double>>& samples);

 private:
  prometheus::MetricFamily& add(std::string name, std::string help, prometheus::MetricType type);

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace zks::ops
