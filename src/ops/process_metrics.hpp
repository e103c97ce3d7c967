// SPDX-License-Identifier: MIT
//
// What every program says about itself at /metrics, under the names that Prometheus' own clients use:
// resident memory, descriptors, processor time, start; and the build.
#pragma once

#include <string>

#include <prometheus/collectable.h>

namespace zks::ops {

// Thread-safe: reads /proc at each call.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  explicit ProcessMetrics(std::string program) : program_(std::move(program)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::string program_;
};

}  // namespace zks::ops
