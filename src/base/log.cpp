// SPDX-License-Identifier: MIT
#include "base/log.hpp"

#include <array>
#include <memory>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "base/log_output.hpp"

namespace zks::log {
namespace {

// One JSON object a line: the message is escaped, so a hostile name in it can't forge fields or lines.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& out) override {
    const auto seconds = std::chrono::duration<double>(msg.time.time_since_epoch()).count();
    const auto level = spdlog::level::to_string_view(msg.level);
    fmt::format_to(std::back_inserter(out), R"({{"time":{:.3f},"level":"{}","message":")", seconds,
                   std::string_view(level.data(), level.size()));
    for (const char c : std::string_view(msg.payload.data(), msg.payload.size())) {
      if (c == '"' || c == '\\') {
        out.push_back('\\');
        out.push_back(c);
      } else if (static_cast<unsigned char>(c) < 0x20) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
      } else {
        out.push_back(c);
      }
    }
    const std::string_view end = "\"}\n";
    out.append(end.data(), end.data() + end.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

// Formats only; the lines are written elsewhere.
class QueueSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t line;
    formatter_->format(msg, line);
    write_line(fmt::to_string(line));
  }
  void flush_() override {}
};

std::unique_ptr<spdlog::formatter> make_formatter(bool json) {
  if (json) return std::make_unique<JsonFormatter>();
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%d %H:%M:%S.%e %l: %v");
}

std::string dropped_notice(spdlog::formatter& formatter, std::uint64_t dropped) {
  const std::string text = fmt::format("{} lines of the log were dropped: nobody read it", dropped);
  spdlog::memory_buf_t line;
  formatter.format(spdlog::details::log_msg("zks", spdlog::level::warn, text), line);
  return fmt::to_string(line);
}

}  // namespace

bool set_up(const std::string& level, bool json) {
  constexpr std::array kLevels = {"trace", "debug", "info", "warn", "error", "off"};
  if (std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end()) return false;
  auto logger = std::make_shared<spdlog::logger>("zks", std::make_shared<QueueSink>());
  logger->set_formatter(make_formatter(json));
  set_notice([formatter = std::shared_ptr(make_formatter(json))](std::uint64_t dropped) {
    return dropped_notice(*formatter, dropped);
  });
  logger->set_level(level == "warn" ? spdlog::level::warn : spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
  return true;
}

}  // namespace zks::log
