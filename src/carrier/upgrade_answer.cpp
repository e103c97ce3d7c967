// SPDX-License-Identifier: MIT
#include "carrier/upgrade_answer.hpp"

#include <boost/beast/http/error.hpp>
#include <boost/beast/websocket/error.hpp>

namespace zks::carrier {

namespace http = boost::beast::http;

UpgradeAnswer::UpgradeAnswer() {
  parser_.header_limit(static_cast<std::uint32_t>(kMaxHeaderBytes));
  parser_.skip(true);  // whatever the fields say of a body, and however long
}

ErrorCode UpgradeAnswer::take(asio::const_buffer bytes) {
  unparsed_.commit(asio::buffer_copy(unparsed_.prepare(bytes.size()), bytes));
  ErrorCode ec;
  const std::size_t used = parser_.put(unparsed_.data(), ec);
  unparsed_.consume(used);
  parsed_bytes_ += used;
  // Beast's limit is for what it parses at once: a header whose pieces each end a field would have none.
  const bool whole = parser_.is_header_done();
  if (parsed_bytes_ + (whole ? 0 : unparsed_.size()) > kMaxHeaderBytes) return http::error::header_limit;
  if (ec && ec != http::error::need_more) return ec;
  if (whole && status() != 101) return boost::beast::websocket::error::upgrade_declined;
  return {};
}

}  // namespace zks::carrier
