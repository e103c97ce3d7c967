// SPDX-License-Identifier: MIT
//
// A link between two network namespaces, for kernels without netem: what is sent into the TUN device of one
// end comes out of the other's after the queue, the rate, the loss and the delay of way.hpp. One thread, one
// epoll.
//
//   bench_link --from NETNS:DEV --to NETNS:DEV [--scenario home] [--rate 100Mbit] [--delay 10ms] [--loss
//   0.1%]
//              [--queue 256KiB] [--rate-back 20Mbit] [--delay-back ...] [--seed 1]
//
// `--from` is the user's end: what it sends goes `up`. The options without -back set both ways, those with it
// the way from --to to --from; each overrides the scenario. --delay is one way: a round trip takes two of
// them. Prints "ready" when both devices are there, and on SIGUSR1, and at its end on SIGTERM or SIGINT, one
// line of JSON with what it has counted.
#include <array>
#include <cstdio>
#include <functional>
#include <system_error>

#include <CLI/CLI.hpp>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "link/scenarios.hpp"
#include "link/tun.hpp"

namespace {

using namespace zks;
using namespace zks::bench;

constexpr int kReadsInTurn = 64;  // of one device, before what is due is sent

TimePoint now() {
  return std::chrono::steady_clock::now();
}

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

void print(const char* name, const WayCounters& counters, const char* end) {
  std::printf(R"("%s": {"packets": %ju, "bytes": %ju, "overflowed": %ju, "lost": %ju, "delivered": %ju}%s)",
              name, std::uintmax_t{counters.packets}, std::uintmax_t{counters.bytes},
              std::uintmax_t{counters.overflowed}, std::uintmax_t{counters.lost},
              std::uintmax_t{counters.delivered}, end);
}

class Emulator {
 public:
  Emulator(const TunName& from, const TunName& to, const LinkOptions& options, std::uint64_t seed)
      : ends_{Tun(from), Tun(to)},
        ways_{Way(options.up, seed), Way(options.down, seed + 1)},
        epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll")),
        timer_(checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd")) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = Fd(checked(::signalfd(-1, &set, SFD_CLOEXEC), "signalfd"));
    ::prctl(PR_SET_TIMERSLACK, 1);  // ns
    watch(ends_[0].fd(), EPOLLIN);
    watch(ends_[1].fd(), EPOLLIN);
    watch(timer_.get(), EPOLLIN | EPOLLET);  // never read: each setting of the timer is an edge of its own
    watch(signals_.get(), EPOLLIN);
  }

  void run() {
    for (;;) {
      std::array<epoll_event, 4> events;
      const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        if (events[static_cast<std::size_t>(i)].data.fd == signals_.get() && ends()) return;
      }
      for (const std::size_t way : {0u, 1u}) receive(way);
      for (const std::size_t way : {0u, 1u}) deliver(way);
      set_timer();
    }
  }

 private:
  void watch(int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }

  bool ends() {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) return false;
    std::fputs("{", stdout);
    print("up", ways_[0].counters(), ", ");
    print("down", ways_[1].counters(), "}\n");
    std::fflush(stdout);
    return info.ssi_signo != SIGUSR1;
  }

  void receive(std::size_t way) {
    for (int i = 0; i < kReadsInTurn; ++i) {
      auto packet = ends_[way].read();
      if (!packet) return;
      ways_[way].arrive(std::move(*packet), now());
    }
  }

  void deliver(std::size_t way) {
    while (ways_[way].next_due() && *ways_[way].next_due() <= now()) ends_[1 - way].write(ways_[way].take());
  }

  void set_timer() {
    const auto up = ways_[0].next_due(), down = ways_[1].next_due();
    if (!up && !down) return;
    const TimePoint next = !down || (up && *up < *down) ? *up : *down;
    if (next == armed_) return;
    armed_ = next;
    const auto at = next.time_since_epoch().count();
    itimerspec when{};
    when.it_value.tv_sec = at / 1'000'000'000;
    when.it_value.tv_nsec = at % 1'000'000'000;
    checked(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr), "timerfd_settime");
  }

  std::array<Tun, 2> ends_;
  std::array<Way, 2> ways_;  // [0] from ends_[0] to ends_[1], [1] back
  Fd epoll_, timer_, signals_;
  TimePoint armed_{};
};

TunName parse_end(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) throw CLI::ValidationError("an end is NETNS:DEV");
  return {text.substr(0, colon), text.substr(colon + 1)};
}

double parse_share(std::string text) {
  if (text.empty() || text.back() != '%') throw CLI::ValidationError("loss is in percent, as in 0.1%");
  text.pop_back();
  double percent = -1;
  if (!CLI::detail::lexical_cast(text, percent) || percent < 0 || percent > 100)
    throw CLI::ValidationError("loss is from 0% to 100%");
  return percent / 100;
}

using Setter = std::function<void(WayOptions&)>;

// The options of one way, or of both; what was given goes to `set` and is applied after the scenario.
void add_way_options(CLI::App& app, const std::string& suffix, std::vector<Setter>& set) {
  const std::string of = suffix.empty() ? "" : ", from --to to --from";
  const std::map<std::string, double> rates{{"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}};
  const std::map<std::string, std::int64_t> times{{"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};
  app.add_option_function<double>(
         "--rate" + suffix, [&set](double v) { set.push_back([v](auto& way) { way.rate_bit_s = v; }); },
         "as in 100Mbit, a second" + of)
      ->transform(CLI::AsNumberWithUnit(rates, CLI::AsNumberWithUnit::UNIT_REQUIRED))
      ->check(CLI::Range(1e3, 1e11));
  app.add_option_function<std::int64_t>(
         "--delay" + suffix,
         [&set](std::int64_t v) { set.push_back([v](auto& way) { way.delay = Nanoseconds(v); }); },
         "as in 10ms, one way" + of)
      ->transform(CLI::AsNumberWithUnit(times, CLI::AsNumberWithUnit::UNIT_REQUIRED))
      ->check(CLI::NonNegativeNumber);
  app.add_option_function<std::string>(
      "--loss" + suffix,
      [&set](const std::string& text) {
        const double v = parse_share(text);
        set.push_back([v](auto& way) { way.loss = v; });
      },
      "as in 0.1%, of packets" + of);
  app.add_option_function<std::uint64_t>(
         "--queue" + suffix,
         [&set](std::uint64_t v) { set.push_back([v](auto& way) { way.queue_bytes = v; }); },
         "as in 256KiB" + of)
      ->transform(CLI::AsSizeValue(false));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("A link with delay, rate, loss and a bounded queue between two network namespaces");
  std::string from, to, scenario = "lan";
  std::uint64_t seed = 1;
  std::vector<Setter> both, back;
  app.add_option("--from", from, "the user's end, NETNS:DEV")->required();
  app.add_option("--to", to, "the other end, NETNS:DEV")->required();
  app.add_option("--scenario", scenario, "lan, home, far, far-lossless or bad")
      ->check(CLI::IsMember(scenarios()))
      ->capture_default_str();
  app.add_option("--seed", seed, "of the losses")->capture_default_str();
  add_way_options(app, "", both);
  add_way_options(app, "-back", back);
  try {
    app.parse(argc, argv);
    LinkOptions options = scenarios().at(scenario);
    for (const Setter& set : both) set(options.up), set(options.down);
    for (const Setter& set : back) set(options.down);
    Emulator emulator(parse_end(from), parse_end(to), options, seed);
    std::puts("ready");
    std::fflush(stdout);
    emulator.run();
  } catch (const CLI::Error& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_link: %s\n", error.what());
    return 1;
  }
  return 0;
}
