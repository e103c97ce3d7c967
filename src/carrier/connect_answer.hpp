// SPDX-License-Identifier: MIT
//
// CONNECT (RFC 9110, section 9.3.6): the request to an upstream proxy, and its answer, bounded and read
// without a body. Sans-IO; reach.cpp moves the bytes.
#pragma once

#include <string>
#include <string_view>

#include "carrier/upstream_proxy.hpp"

namespace zks::carrier {

// `target` is HOST:PORT, always with the port. Holds the proxy's authorization: the caller wipes it.
std::string connect_request(const UpstreamProxy& proxy, const std::string& target);

class ConnectAnswer {
 public:
  // Status lines and fields together, those of interim answers (1xx) included.
  static constexpr std::size_t kMaxHeaderBytes = 8 * 1024;

  // The next bytes that came. True: the answer's header is whole, and nothing more is to be taken. kProtocol
  // when it is not HTTP, longer than the limit, or when bytes follow the header of a 2xx answer: in the
  // tunnel the first word is ours, so they would be the proxy's own invention.
  Result<bool> take(std::string_view bytes);

  int status() const { return status_; }
  bool accepted() const { return status_ / 100 == 2; }
  // Why the tunnel to `target` was not opened, and what to do; after take() was true and accepted() is not.
  Error refusal(const UpstreamProxy& proxy, const std::string& target) const;

 private:
  Result<> read_header(std::string_view header);
  void read_field(std::string_view line);

  std::string bytes_;           // of the header that is being read
  std::size_t past_bytes_ = 0;  // of interim headers
  int status_ = 0;
  bool asks_basic_ = false;
  std::string asks_other_;  // the first scheme of Proxy-Authenticate that is not Basic; letters and digits
};

}  // namespace zks::carrier
