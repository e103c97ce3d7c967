// SPDX-License-Identifier: MIT
//
// The name process, with this test as its parent and as the name server that it asks.
#include "vpn/name_process.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.hpp"
#include "vpn/requests.hpp"
#include "vpn/supervisor_wire.hpp"
#include "vpn/worker_start.hpp"

namespace zks::vpn {
namespace {

using Json = nlohmann::json;

constexpr int kPatienceMilliseconds = 20'000;

class NameProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    const SignalsHeld signals;
    auto started = start_name_process({"nobody"});
    ASSERT_FALSE(started.status);
    process = std::move(started.process);
    pair = process.release_socket();
    server = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in any{
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    socklen_t size = sizeof any;
    ASSERT_EQ(::getsockname(server.get(), reinterpret_cast<sockaddr*>(&any), &size), 0);
    server_text = "127.0.0.1:" + std::to_string(ntohs(any.sin_port));
  }
  void TearDown() override { process.end(); }

  void ask(const std::string& host, std::uint64_t id = 1) {
    ASSERT_TRUE(
        send_message(pair.get(), {{"do", "resolve"}, {"id", id}, {"host", host}, {"servers", server_text}}));
  }

  // Gives it sockets, and answers queries by `say`, until it answers.
  NameAnswer answered(const std::function<std::vector<Bytes>(Bytes query)>& say) {
    for (;;) {
      std::array<pollfd, 2> waiting{{{pair.get(), POLLIN, 0}, {server.get(), POLLIN, 0}}};
      if (::poll(waiting.data(), waiting.size(), kPatienceMilliseconds) <= 0) break;
      if (waiting[1].revents != 0) serve(say);
      if (waiting[0].revents == 0) continue;
      const auto message = receive_message(pair.get());
      if (!message || !*message) break;
      const auto said = read_name_message((*message)->body);
      if (!said) break;
      if (const auto* answer = std::get_if<NameAnswer>(&*said)) return *answer;
      const auto& wanted = std::get<SocketRequest>(*said);
      const Fd socket(::socket(wanted.ipv4 ? AF_INET : AF_INET6, (wanted.udp ? SOCK_DGRAM : SOCK_STREAM), 0));
      ++sockets;
      EXPECT_TRUE(send_message(pair.get(), {{"id", wanted.id}}, socket.get()));
    }
    ADD_FAILURE() << "no answer";
    return {};
  }

  std::string status_line(const std::string& name) const {
    std::ifstream file("/proc/" + std::to_string(pid()) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
    }
    return "none";
  }
  pid_t pid() const { return process.pid(); }

  NameProcess process;
  Fd pair;
  Fd server;
  std::string server_text;
  int sockets = 0;

 private:
  void serve(const std::function<std::vector<Bytes>(Bytes query)>& say) {
    Bytes query(1'500);
    sockaddr_in from{};
    socklen_t size = sizeof from;
    auto* address = reinterpret_cast<sockaddr*>(&from);
    const ssize_t count = ::recvfrom(server.get(), query.data(), query.size(), 0, address, &size);
    ASSERT_GT(count, 0);
    query.resize(static_cast<std::size_t>(count));
    for (const Bytes& answer : say(std::move(query))) {
      (void)::sendto(server.get(), answer.data(), answer.size(), 0, address, size);
    }
  }
};

// The question, and for A the address 192.0.2.7; without EDNS's record.
Bytes answer_to(const Bytes& query) {
  std::size_t end = 12;
  while (query[end] != 0) end += query[end] + 1U;
  const bool ipv4 = query[end + 2] == 1;
  Bytes out(query.begin(), query.begin() + static_cast<std::ptrdiff_t>(end + 5));
  const Bytes counts = {0x81, 0x80, 0, 1, 0, static_cast<std::uint8_t>(ipv4 ? 1 : 0), 0, 0, 0, 0};
  std::ranges::copy(counts, out.begin() + 2);
  const Bytes record = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
  if (ipv4) out.insert(out.end(), record.begin(), record.end());
  return out;
}

TEST_F(NameProcessTest, AsksWithTheSocketsThatItIsGiven) {
  ask("relay.example");
  const auto answer = answered([](Bytes query) { return std::vector<Bytes>{answer_to(query)}; });
  EXPECT_EQ(answer.id, 1U);
  ASSERT_EQ(answer.addresses.size(), 1U);
  EXPECT_EQ(answer.addresses[0].text(), "192.0.2.7");
  EXPECT_EQ(sockets, 2);  // A and AAAA, a source port each
}

// What reads it is this process: whatever is said, an answer comes, and the next one is right.
TEST_F(NameProcessTest, LivesWithANameServerThatLies) {
  const auto mangled = [](const Bytes& query) {
    std::vector<Bytes> out;
    const Bytes right = answer_to(query);
    for (std::size_t size = 0; size < right.size(); ++size) {
      out.emplace_back(right.begin(), right.begin() + static_cast<std::ptrdiff_t>(size));
    }
    for (std::size_t at = 2; at < right.size(); ++at) {
      Bytes changed = right;
      changed[at] = 0xff;  // lengths, counts, pointers into nowhere and to themselves
      out.push_back(std::move(changed));
    }
    out.emplace_back(4'000, std::uint8_t{0xc0});
    return out;
  };
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ask("relay.example", id);
    const auto answer = answered(mangled);
    EXPECT_EQ(answer.id, id);
    EXPECT_LE(answer.addresses.size(), kMaxAnswerAddresses);
  }
  ask("relay.example", 9);
  const auto answer = answered([](Bytes query) { return std::vector<Bytes>{answer_to(query)}; });
  ASSERT_EQ(answer.addresses.size(), 1U);
  EXPECT_EQ(answer.addresses[0].text(), "192.0.2.7");
}

TEST_F(NameProcessTest, HasNoRightsAndNothingOfItsParents) {
  if (::geteuid() == 0) {
    EXPECT_TRUE(status_line("Uid").starts_with("65534\t65534\t65534"));
  }
  EXPECT_EQ(status_line("CapPrm"), "0000000000000000");
  EXPECT_EQ(status_line("NoNewPrivs"), "1");
#ifndef ZKS_SANITIZED
  EXPECT_EQ(status_line("Seccomp"), "2");
#endif
  // Input, output, error, the pair; epoll, eventfd and timerfd of its loop.
  const std::filesystem::path descriptors("/proc/" + std::to_string(pid()) + "/fd");
  for (const auto& entry : std::filesystem::directory_iterator(descriptors)) {
    if (std::stoi(entry.path().filename()) < 3) continue;
    const std::string what = std::filesystem::read_symlink(entry.path());
    EXPECT_TRUE(what.starts_with("socket:") || what.starts_with("anon_inode:")) << what;
  }
}

TEST_F(NameProcessTest, EndsWithItsParentAndNotBefore) {
  ASSERT_EQ(::kill(pid(), SIGTERM), 0);
  ASSERT_EQ(::kill(pid(), SIGINT), 0);
  ask("127.0.0.1");  // a question that needs nobody
  EXPECT_EQ(answered([](Bytes) { return std::vector<Bytes>(); }).id, 1U);
  EXPECT_FALSE(process.ended());
  pair = Fd();
  int status = 0;
  EXPECT_EQ(::waitpid(pid(), &status, 0), pid());
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  process = NameProcess();
}

TEST(NameProcess, SaysWhyItCannotGiveUpItsRights) {
  if (::geteuid() != 0) GTEST_SKIP() << "takes root, who can be somebody else";
  const SignalsHeld signals;
  const auto started = start_name_process({"nobody-at-all"});
  EXPECT_EQ(started.status, 2);
  EXPECT_FALSE(started.process.runs());
}

// What the parent has read, the link above all, is not in its memory then.
TEST(NameProcess, IsAProgramAnew) {
  const SignalsHeld signals;
  const auto started = start_name_process(
      {"/bin/sh", "-c", "test -z \"$HOME$ZKS_LINK\" && test -S /proc/self/fd/3 && exit 7"});
  EXPECT_EQ(started.status, 7);
  EXPECT_EQ(start_name_process({"/no/such/program", "nobody"}).status, 1);
}

}  // namespace
}  // namespace zks::vpn
