// SPDX-License-Identifier: MIT
//
// Destinations that refuse, with a code of the test's, once a timer of the test's is over.
#pragma once

#include <memory>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "exit/connect.hpp"

namespace zks::test {

inline boost::asio::awaitable<exit::ConnectOutcome> refuse_at(
    std::shared_ptr<boost::asio::steady_timer> answers, session::ResetCode code) {
  [[maybe_unused]] const auto [ec] =
      co_await answers->async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  exit::ConnectOutcome out;
  out.code = code;
  out.reason = "as the test says";
  co_return out;
}

inline exit::Connect late_refusal(std::shared_ptr<boost::asio::steady_timer> answers,
                                  session::ResetCode code) {
  return [answers = std::move(answers), code](
             const boost::asio::any_io_executor&, const session::Destination&,
             const std::shared_ptr<const exit::Policy>&, const std::shared_ptr<exit::GuestResolver>&,
             const exit::ConnectOptions&) { return refuse_at(answers, code); };
}

}  // namespace zks::test
