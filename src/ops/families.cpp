// SPDX-License-Identifier: MIT
#include "ops/families.hpp"

namespace zks::ops {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

namespace {

ClientMetric metric(MetricType type, double value) {
  ClientMetric out;
  (type == MetricType::Counter ? out.counter.value : out.gauge.value) = value;
  return out;
}

void fill(MetricFamily& family, const std::string& label, std::vector<Families::Sample> samples) {
  for (auto& sample : samples) {
    ClientMetric entry = metric(family.type, sample.value);
    entry.label.push_back({label, std::move(sample.label)});
    family.metric.push_back(std::move(entry));
  }
}

}  // namespace

MetricFamily& Families::add(std::string name, std::string help, MetricType type) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  families_.push_back(std::move(family));
  return families_.back();
}

void Families::counter(std::string name, std::string help, double value) {
  add(std::move(name), std::move(help), MetricType::Counter)
      .metric.push_back(metric(MetricType::Counter, value));
}

void Families::gauge(std::string name, std::string help, double value) {
  add(std::move(name), std::move(help), MetricType::Gauge).metric.push_back(metric(MetricType::Gauge, value));
}

void Families::counters(std::string name, std::string help, const std::string& label,
                        std::vector<Sample> samples) {
  fill(add(std::move(name), std::move(help), MetricType::Counter), label, std::move(samples));
}

void Families::gauges(std::string name, std::string help, const std::string& label,
                      std::vector<Sample> samples) {
  fill(add(std::move(name), std::move(help), MetricType::Gauge), label, std::move(samples));
}

void Families::counters(std::string name, std::string help,
                        const std::vector<std::pair<Labels, double>>& samples) {
  MetricFamily& family = add(std::move(name), std::move(help), MetricType::Counter);
  for (const auto& [labels, value] : samples) {
    ClientMetric entry = metric(MetricType::Counter, value);
    for (const auto& [label, text] : labels) entry.label.push_back({label, text});
    family.metric.push_back(std::move(entry));
  }
}

}  // namespace zks::ops
