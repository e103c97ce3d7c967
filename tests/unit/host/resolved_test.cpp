// SPDX-License-Identifier: MIT
//
// What systemd-resolved is told, by a double of it at the other end of a socket.
#include "host/resolved.hpp"

#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>
#include <sys/socket.h>

namespace zks::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bus make_bus(int fd, bool server) {
  sd_bus* bus = nullptr;
  if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0) throw std::runtime_error("sd_bus_new");
  sd_id128_t id{};
  if (server && (sd_id128_randomize(&id) < 0 || sd_bus_set_server(bus, 1, id) < 0)) {
    throw std::runtime_error("sd_bus_set_server");
  }
  if (sd_bus_start(bus) < 0) throw std::runtime_error("sd_bus_start");
  return Bus(bus);
}

// Writes down each call and answers it, on a thread of its own, until the client is gone.
class ResolvedDouble {
 public:
  explicit ResolvedDouble(std::string refused = {}) : refused_(std::move(refused)) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw std::runtime_error("socketpair");
    thread_ = std::thread([this, fd = ends[0]] { serve(fd); });
    client_ = make_bus(ends[1], false);
  }
  ~ResolvedDouble() { calls(); }

  sd_bus* bus() { return client_.get(); }
  const std::vector<std::string>& calls() {
    client_.reset();
    if (thread_.joinable()) thread_.join();
    return calls_;
  }

 private:
  void serve(int fd) {
    const Bus bus = make_bus(fd, true);
    sd_bus_add_filter(bus.get(), nullptr, on_message, this);
    while (sd_bus_process(bus.get(), nullptr) >= 0 && sd_bus_is_open(bus.get()) > 0) {
      sd_bus_wait(bus.get(), UINT64_MAX);
    }
  }

  static int on_message(sd_bus_message* message, void* self, sd_bus_error*) {
    if (sd_bus_message_is_method_call(message, "org.freedesktop.resolve1.Manager", nullptr) <= 0) return 0;
    auto& server = *static_cast<ResolvedDouble*>(self);
    const std::string name = sd_bus_message_get_member(message);
    server.calls_.push_back(name + describe(message));
    if (name == server.refused_) {
      return sd_bus_reply_method_errorf(message, "org.freedesktop.resolve1.NoSuchLink", "no such link");
    }
    return sd_bus_reply_method_return(message, "");
  }

  static std::string describe(sd_bus_message* message) {
    const std::string signature = sd_bus_message_get_signature(message, 1);
    int device = 0;
    if (!signature.empty()) sd_bus_message_read(message, "i", &device);
    std::string out = signature.empty() ? "" : " " + std::to_string(device);
    if (signature == "is") {
      const char* text = nullptr;
      sd_bus_message_read(message, "s", &text);
      return out + " " + text;
    }
    if (signature == "ib") {
      int flag = 0;
      sd_bus_message_read(message, "b", &flag);
      return out + (flag != 0 ? " yes" : " no");
    }
    if (signature == "ia(sb)") {
      const char* text = nullptr;
      int flag = 0;
      sd_bus_message_enter_container(message, 'a', "(sb)");
      while (sd_bus_message_read(message, "(sb)", &text, &flag) > 0)
        out += (flag != 0 ? " ~" : " ") + std::string(text);
      return out;
    }
    if (signature != "ia(iay)") return out;
    sd_bus_message_enter_container(message, 'a', "(iay)");
    while (sd_bus_message_enter_container(message, 'r', "iay") > 0) {
      int family = 0;
      const void* bytes = nullptr;
      std::size_t size = 0;
      sd_bus_message_read(message, "i", &family);
      sd_bus_message_read_array(message, 'y', &bytes, &size);
      const auto* address = static_cast<const std::uint8_t*>(bytes);
      out += " " + (family == AF_INET && size == 4 ? make_ipv4(address) : make_ipv6(address)).text();
      sd_bus_message_exit_container(message);
    }
    return out;
  }

  std::string refused_;
  std::vector<std::string> calls_;
  Bus client_;
  std::thread thread_;
};

const std::vector<IpAddress> kServers{*parse_ip_address("198.18.0.2"), *parse_ip_address("2001:2::2")};

TEST(Resolved, IsToldOfServersForAllNames) {
  ResolvedDouble resolved;
  ASSERT_TRUE(set_resolved(resolved.bus(), 7, kServers));
  EXPECT_THAT(
      resolved.calls(),
      ElementsAre("SetLinkDNS 7 198.18.0.2 2001:2::2", "SetLinkDomains 7 ~.", "SetLinkDefaultRoute 7 yes",
                  "SetLinkLLMNR 7 no", "SetLinkMulticastDNS 7 no", "SetLinkDNSOverTLS 7 no", "FlushCaches"));
}

TEST(Resolved, IsToldOfNoDomains) {
  ResolvedDouble resolved;
  ASSERT_TRUE(set_resolved_domains(resolved.bus(), 3, {}));
  ASSERT_TRUE(set_resolved_domains(resolved.bus(), 3, {{"lan", false}}));
  EXPECT_THAT(resolved.calls(), ElementsAre("SetLinkDomains 3", "SetLinkDomains 3 lan"));
}

TEST(Resolved, ForgetsADevice) {
  ResolvedDouble resolved;
  ASSERT_TRUE(revert_resolved(resolved.bus(), 7));
  EXPECT_THAT(resolved.calls(), ElementsAre("RevertLink 7"));
}

TEST(Resolved, SaysWhyItRefuses) {
  ResolvedDouble resolved("SetLinkDomains");
  const auto set = set_resolved(resolved.bus(), 7, kServers);
  ASSERT_FALSE(set);
  EXPECT_THAT(set.error().text, HasSubstr("no such link"));
}

}  // namespace
}  // namespace zks::host
