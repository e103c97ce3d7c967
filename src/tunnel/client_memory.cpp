// SPDX-License-Identifier: MIT
//
// The client without memory: the connections that hold most of it make room for the others, and what could
// not even be begun is begun again after a pause.
#include <malloc.h>

#include "base/log.hpp"
#include "tunnel/client.hpp"

namespace zks::tunnel {
namespace {

constexpr std::chrono::seconds kBeginAgainAfter{1};

}  // namespace

void Client::relieve_memory() {
  const std::size_t ended = tunnel_ ? tunnel_->reset_heaviest_streams(session::ResetCode::kLimit) : 0;
  ::malloc_trim(0);  // for what is larger than the pieces that became free
  if (!memory_notice_.is_due(std::chrono::steady_clock::now())) return;
  log::error("out of memory: {} connections that held most of it were ended; give this program more", ended);
}

// A session whose lane was being attached is half made. Another one is left as it is.
void Client::begin_again() {
  log::error("out of memory; trying again");
  if (lanes_.attaching() && tunnel_) tunnel_->end(make_error(ErrorKind::kLimit, "no memory left"));
  const auto now = std::chrono::steady_clock::now();
  backoff_.failed(now);
  begin_again_.expires_after(
      std::max<std::chrono::milliseconds>(kBeginAgainAfter, backoff_.pause(now, options_.reconnect_max)));
  begin_again_.async_wait([weak = weak_from_this()](const boost::system::error_code&) {
    if (const auto self = weak.lock()) self->begin();
  });
}

}  // namespace zks::tunnel
