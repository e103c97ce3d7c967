// SPDX-License-Identifier: MIT
//
// A completion handler for co_spawn that is called however the coroutine ends. Without memory to begin what a
// coroutine awaits, Asio destroys it without a word, and the exception leaves the event loop, which goes on:
// whoever owns the coroutine would wait for its end for ever. Destroyed without a call, this posts one with
// std::bad_alloc.
#pragma once

#include <exception>
#include <new>
#include <optional>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>

namespace zks::net {

template <class Handler>
class OnEnd {
 public:
  OnEnd(boost::asio::any_io_executor executor, Handler handler)
      : executor_(std::move(executor)), handler_(std::move(handler)) {}
  OnEnd(OnEnd&& other) noexcept
      : executor_(other.executor_), handler_(std::exchange(other.handler_, std::nullopt)) {}
  OnEnd& operator=(OnEnd&&) = delete;
  ~OnEnd() {
    if (!handler_) return;
    try {
      boost::asio::post(executor_, [handler = std::move(*handler_)]() mutable {
        handler(std::make_exception_ptr(std::bad_alloc()));
      });
    } catch (...) {  // not even that much memory: its owner's timers and peers are left
    }
  }

  void operator()(std::exception_ptr failure) {
    Handler handler = std::move(*std::exchange(handler_, std::nullopt));
    handler(std::move(failure));
  }

 private:
  boost::asio::any_io_executor executor_;
  std::optional<Handler> handler_;
};

}  // namespace zks::net
