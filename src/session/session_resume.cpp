// SPDX-License-Identifier: MIT
//
// Tables (PROTOCOL.md, "Resume"): both ends look at nothing more of the lanes that some streams were bound
// to, all of them after HELLO resume, those that a client declared dead after LANE_DOWN. Each end now tells
// its table of these streams, and neither sends frames of them before it has the other's. When that is, and
// on which lane, is here; what a table says, in streams_tables.cpp.
#include "session/checks.hpp"
#include "session/session.hpp"

namespace zks::session {

void Session::begin_exchange(LaneState& lane) {
  lane.owe_table = lane.await_table = true;
}

void Session::finish_exchange(LaneState& lane) {
  if (lane.exchanging()) return;
  lane.resuming = false;
  lane.declared.clear();
  streams_.go_on(lane.options.number);
  agree_on_deaths();
}

// The exit may not know the session (any more): it was restarted, or gave it up. Then nothing of it is left,
// and the lane goes on with a new one.
Result<> Session::on(const WelcomeFrame& frame, LaneState& lane, TimePoint) {
  if (auto taken = on_greeting(frame, Role::kExit, lane); !taken) return taken;
  const HelloMode asked = lane.options.mode;
  const bool forgotten = asked == HelloMode::kResume && frame.mode == HelloMode::kNew;
  if (frame.mode != asked && !forgotten) return violation("WELCOME to what was not asked for");
  exit_instance_ = frame.instance;
  context_->options.orphan_seconds = frame.parameters.orphan_seconds;
  context_->welcome = frame.parameters;
  if (forgotten) {
    reset_all();
    // The end of the table is still told, so that the exit knows what it ignores.
    streams_.drop_table(lane.options.number);
    lane.await_table = lane.resuming = false;
  }
  push(WelcomeEvent{.lane = lane.options.number, .mode = frame.mode});
  if (asked == HelloMode::kJoin) serve_waiting(lane);
  return {};
}

// A lane joined: it takes what was opened while there was none.
void Session::serve_waiting(LaneState& lane) {
  streams_.adopt(lane.options.number);
  flows_.place();
  agree_on_deaths();  // and may be the one to tell of them
}

Result<> Session::on(const TableFrame& frame, LaneState& lane, TimePoint) {
  if (lane.ignore_tables) {
    lane.ignore_tables = frame.more;
    return {};
  }
  if (!lane.await_table) return violation("TABLE that was not asked for");
  if (auto taken = streams_.on(frame, lane.options.number); !taken) return taken;
  if (frame.more) return {};
  lane.await_table = false;
  finish_exchange(lane);
  return {};
}

}  // namespace zks::session
