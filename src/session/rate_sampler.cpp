// SPDX-License-Identifier: MIT
#include "session/rate_sampler.hpp"

#include <algorithm>

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using Duration = std::chrono::nanoseconds;

constexpr std::uint64_t kMarkEvery = 8 * 1024;
constexpr Duration kLeastInterval = 1us;

}  // namespace

void RateSampler::on_sent(std::uint64_t sent, std::uint64_t acknowledged, TimePoint now) {
  if (marks_.empty()) {
    next_round_delivered_ = sent;
    delivered_ = acknowledged;
    delivered_time_ = first_send_time_ = now;
  } else if (sent < marks_.back().position + kMarkEvery || marks_.size() >= kMaxMarks) {
    return;
  }
  marks_.push_back({sent, now, delivered_, delivered_time_, first_send_time_});
}

std::optional<RateSample> RateSampler::on_acknowledged(std::uint64_t position, TimePoint now) {
  std::optional<Mark> newest;
  while (!marks_.empty() && marks_.front().position <= position) {
    newest = marks_.front();
    marks_.pop_front();
  }
  if (!newest) return std::nullopt;
  RateSample sample = sample_of(*newest, now);
  delivered_ = newest->position;
  delivered_time_ = now;
  first_send_time_ = newest->send_time;
  sample.ends_round = newest->position >= next_round_delivered_;
  if (sample.ends_round) next_round_delivered_ = marks_.empty() ? position : marks_.back().position;
  return sample;
}

// rate = data_acked / max(send_elapsed, ack_elapsed)
RateSample RateSampler::sample_of(const Mark& mark, TimePoint now) const {
  const Duration send_elapsed = mark.send_time - mark.first_send_time;
  const Duration ack_elapsed = now - mark.delivered_time;
  const Duration interval = std::max({ack_elapsed, send_elapsed, kLeastInterval});
  const auto data_acked = static_cast<double>(mark.position - mark.delivered);
  RateSample out;
  out.rtt = now - mark.send_time;
  out.delivery_rate = data_acked / std::chrono::duration<double>(interval).count();
  out.silence = now - delivered_time_;
  return out;
}

}  // namespace zks::session
