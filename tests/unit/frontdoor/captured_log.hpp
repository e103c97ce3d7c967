// SPDX-License-Identifier: MIT
//
// What the code under test logs, as long as this lives. Read it on the thread that logs.
#pragma once

#include <sstream>
#include <string>

#include <spdlog/sinks/ostream_sink.h>

#include "base/log.hpp"

namespace zks::frontdoor {

class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    const auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text_);
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("captured", sink));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  // In how many lines `words` stand.
  std::size_t count(std::string_view words) const {
    std::istringstream lines(text_.str());
    std::size_t out = 0;
    for (std::string line; std::getline(lines, line);) out += line.find(words) != std::string::npos ? 1 : 0;
    return out;
  }

 private:
  std::shared_ptr<spdlog::logger> before_;
  std::ostringstream text_;
};

}  // namespace zks::frontdoor
