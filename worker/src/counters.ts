// SPDX-License-Identifier: MIT
//
// What happened in this isolate, for tests of hibernation: an idle exit, room or pair must not move any of these. Served at
// /debug/counters when DEBUG_COUNTERS is set. Counts only.

export const counters = {
  exits_constructed: 0,
  exit_events: 0,
  rooms_constructed: 0,
  room_events: 0,
  pairs_constructed: 0,
  pair_events: 0,
};
