// SPDX-License-Identifier: MIT
#include "link/way.hpp"

#include <algorithm>
#include <utility>

namespace zks::bench {

Nanoseconds Way::time_to_send(std::uint64_t bytes) const {
  return Nanoseconds(static_cast<std::int64_t>(static_cast<double>(bytes) * 8e9 / options_.rate_bit_s));
}

// The transmitter's rate is constant, so how long it will be busy says how many bytes wait.
std::uint64_t Way::queued_bytes(TimePoint now) const {
  const double busy_ns = static_cast<double>(std::max(idle_at_ - now, Nanoseconds(0)).count());
  return static_cast<std::uint64_t>(busy_ns * options_.rate_bit_s / 8e9);
}

void Way::arrive(Packet packet, TimePoint now) {
  ++counters_.packets;
  counters_.bytes += packet.size();
  if (queued_bytes(now) + packet.size() > options_.queue_bytes) {
    ++counters_.overflowed;
    return;
  }
  idle_at_ = std::max(idle_at_, now) + time_to_send(packet.size());
  // What is lost has taken the transmitter's time all the same.
  if (std::uniform_real_distribution<>()(random_) < options_.loss) {
    ++counters_.lost;
    return;
  }
  on_their_way_.push_back({idle_at_ + options_.delay, std::move(packet)});
}

std::optional<TimePoint> Way::next_due() const {
  if (on_their_way_.empty()) return std::nullopt;
  return on_their_way_.front().due;
}

Packet Way::take() {
  Packet packet = std::move(on_their_way_.front().packet);
  on_their_way_.pop_front();
  ++counters_.delivered;
  return packet;
}

}  // namespace zks::bench
