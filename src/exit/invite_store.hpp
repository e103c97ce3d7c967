// SPDX-License-Identifier: MIT
//
// Who may come in: the invites of the state directory, re-read whenever `invite` or `revoke` changed them, so
// that both take effect on a running exit by themselves. Only what somebody decided ends access: files that
// are missing, damaged or unreadable leave who was in, and keep out who was not, until they can be read again
// (fault.hpp); a wall clock that jumped ends nothing for a minute (expiry_clock.hpp).
//
// Reading is done here, of files that were just written and small; writing by StateWriter, so that a slow
// disk or a lock holds up who waits for it and nobody else.
//
// Not thread safe: one executor.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "exit/allowance.hpp"
#include "exit/expiry_clock.hpp"
#include "exit/fault.hpp"
#include "exit/state_writer.hpp"
#include "link/state_directory.hpp"
#include "tunnel/handshake.hpp"

namespace zks::exit {

class InviteStore {
 public:
  using TimePoint = Allowance::TimePoint;

  // A crash forgets at most this much of what users used.
  static constexpr std::chrono::seconds kSaveEvery{30};

  static constexpr std::chrono::seconds kSaveAgain{5};  // after it failed

  using Clock = ExpiryClock::Readings (*)();

  // `policy`: the exit's, on which those of the invites build.
  InviteStore(link::StateDirectory state, boost::asio::any_io_executor executor,
              std::shared_ptr<const Policy> policy, std::shared_ptr<StateWriter> writer,
              Clock clock = &ExpiryClock::read)
      : state_(std::move(state)),
        executor_(std::move(executor)),
        policy_(std::move(policy)),
        writer_(std::move(writer)),
        clock_(clock) {}

  // Re-reads the invites and what they used if the files changed. Where that fails all stays as it was.
  Result<> refresh();

  // The psk for a claim that an invite and its pinned devices allow; kRefused otherwise. Looks at the file
  // first, so that a link works, or stops working, from the moment its command has ended. Any other error
  // says that the file can't be read; then only who is `running` a session comes in.
  Result<Key> authorize(const tunnel::Claim& claim, bool running);
  // A claim became authentic: pins the device, on disk, before the session is welcomed. kRefused when the
  // invite does not allow it, any other error when it can't be written down.
  carrier::Task<> admit(tunnel::Claim claim);
  // What the operator has to look at.
  std::vector<std::string> faults() const;
  // Whether a session of this claim may go on.
  bool welcome(const tunnel::Claim& claim) const;
  // What the claim's invite may use; one for all its sessions, also after it was revoked. Of admitted claims.
  std::shared_ptr<Allowance> allowance(const tunnel::Claim& claim);

  // Writes down what was used since the last time, if it is time. One write at a time: what comes meanwhile
  // goes with the next one.
  void save_usage_sometimes(TimePoint now);
  // The last time; `saved` is called when that is over.
  void finish(std::function<void()> saved);
  // The name of the claim's invite; empty when there is none any more.
  std::string name_of(const tunnel::Claim& claim) const;

 private:
  bool is_pinned(const tunnel::Claim& claim) const;
  const link::Invite* find(const tunnel::Claim& claim) const;

  bool usage_is_lost() const;
  void note_pin(const Result<>& outcome);
  bool save_usage();
  void usage_saved(const link::Usage& more, const Result<link::Usage>& usage);
  void read_clock();
  Result<> read_changes();
  Result<> read_invites();
  Result<> read_usage();
  void take_usage(const link::Usage& usage);
  std::shared_ptr<Allowance> allowance_of(const InviteId& id);

  link::StateDirectory state_;
  boost::asio::any_io_executor executor_;
  std::shared_ptr<const Policy> policy_;
  std::shared_ptr<StateWriter> writer_;
  std::vector<link::Invite> invites_;
  std::optional<std::uint64_t> version_;
  std::shared_ptr<AllStreams> all_streams_ = std::make_shared<AllStreams>();
  std::map<InviteId, std::shared_ptr<Allowance>> allowances_;
  link::Usage usage_;  // as it was last read
  std::optional<std::uint64_t> usage_version_;
  TimePoint saved_{};
  bool saving_ = false;
  std::function<void()> finished_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // for outcomes that come late
  Clock clock_;
  ExpiryClock expiry_clock_;
  std::int64_t now_ = 0;  // seconds since 1970
  std::optional<std::int64_t> told_jump_;
  Fault reading_{"who is in stays, nobody new comes in until that is mended",
                 "the state directory can be read again"};
  Fault writing_{"it is tried again; new devices are not let in meanwhile",
                 "the state directory can be written again"};
};

}  // namespace zks::exit
