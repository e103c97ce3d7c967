// SPDX-License-Identifier: MIT
//
// GOAWAY and the end of a session, and what is asked of several parts at once.
#include "session/session.hpp"

namespace zks::session {

Session::Session(Options of_session)
    : context_(std::make_unique<SessionContext>(std::move(of_session))),
      requests_(*context_),
      flows_(*context_),
      listeners_(*context_),
      streams_(*context_) {}

void Session::go_away(GoawayCode code, std::string text) {
  if (goaway_) return;
  text.resize(std::min(text.size(), kMaxGoawayText));
  goaway_ = GoawayFrame{GoawayScope::kSession, code, std::move(text)};
  context_->leaving = true;
}

void Session::end() {
  context_->leaving = true;
  for (const auto& [number, lane] : context_->lanes) streams_.leave_lane(number);
  context_->lanes.clear();
  reset_all();
  flows_.end_all();
  requests_.clear();
}

void Session::reset_all() {
  streams_.reset_all();
  flows_.end_those_of_listeners();
  listeners_.clear();
}

// A listener of datagrams has a flow, which is there as long as it is.
void Session::listening(ListenerId id, Destination bound) {
  listeners_.listening(id, std::move(bound));
  if (listeners_.takes_datagrams(id)) flows_.begin_of(id);
}

void Session::unlisten(ListenerId id, ResetCode code) {
  flows_.end_of(id);
  listeners_.unlisten(id, code);
}

// Each end opens streams while its table has fewer than max-streams. Where only one of them does, what the
// other one has more than that are tombstones whose DONE is on its way on another lane; where both do, each
// may open as many before it hears of the other's.
std::uint64_t Session::most_streams() const {
  return (listeners_.max() > 0 ? 3 : 2) * options().max_streams;
}

Result<StreamId> Session::open(ListenerId listener, Destination from, TimePoint now) {
  if (!listeners_.takes_connections(listener)) {
    return make_error(ErrorKind::kClosed, "the client gave the listener up");
  }
  return streams_.open_for(listener, std::move(from), now);
}

std::optional<ExitCapabilities> Session::exit_capabilities() const {
  if (!context_->welcome) return std::nullopt;
  return context_->welcome->capabilities;
}

}  // namespace zks::session
