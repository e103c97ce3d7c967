// SPDX-License-Identifier: MIT
//
// One stream of one session over lanes that are cut: how a client and an exit resume it (PROTOCOL.md, "Sessions and
// lanes" and "Streams"). README.md beside this file says what is left out; `check` runs it. There are two processes of
// one proctype, a client and an exit. Each `::` of the loop at the end is one step of one of them, and Spin tries all
// orders of all steps.
//
// A cut is the client's step to the next lane. What was sent before and not received yet may still be received by the
// exit until its fence: "late" and "lost" are the same message, read before the fence or not. What is sent on a lane
// after its cut goes nowhere.

#ifndef UNITS
#define UNITS 2 // what each side sends before its FIN
#endif
#ifndef WINDOW
#define WINDOW 1 // units that may be sent beyond what CREDIT acknowledged
#endif
#ifndef CUTS
#define CUTS 2 // at most this many, at most 2; lanes are numbered 0 to CUTS
#endif
#ifndef CAPACITY
#define CAPACITY 8 // messages in flight, per lane and direction; with these bounds there are never more
#endif

// Rules that can be taken out, one macro each. `check` wants an error from every one of them.
#ifdef NO_FENCE
#define kFence false
#else
#define kFence true
#endif
#ifdef NO_DUPLICATE_CHECK
#define kDuplicateCheck false
#else
#define kDuplicateCheck true
#endif
#ifdef NO_TABLE_WAIT
#define kTableWait false
#else
#define kTableWait true
#endif
#ifdef NO_TOMBSTONE
#define kTombstone false
#else
#define kTombstone true
#endif
#ifdef NO_SECOND_DONE
#define kSecondDone false
#else
#define kSecondDone true
#endif
// Not a rule: our own programs go back to exactly what the other side received, others may go back further.
#ifdef EXACT_REWIND
#define kExactRewind true
#else
#define kExactRewind false
#endif

#define CLIENT 0
#define EXIT 1
#define END (UNITS + 1) // FIN takes one offset: who is at END has the FIN behind it

// Frames. A TABLE of one stream is one message, named after its entry's state; its value is `received`.
mtype = { HELLO, OPEN, OPENED, DATA, FIN, CREDIT, RESET, DONE,
          TABLE_ABSENT, TABLE_OPENING, TABLE_OPEN, TABLE_RESET };
mtype = { kNone, kOpening, kOpen, kReset, kForgotten };         // phases of a stream
mtype = { kUnknown, kOrderly, kResetHere, kResetThere };        // how it ended, once it is forgotten

chan wire[2 * (CUTS + 1)] = [CAPACITY] of { mtype, byte };
#define inbound(n) wire[2 * (n) + me]
#define outbound(n) wire[2 * (n) + 1 - me]

byte newest = 0; // the client's lane; lower ones are cut
mtype outcome[2] = kUnknown;

#define known (phase != kNone && phase != kForgotten)
#define alive (phase == kOpening || phase == kOpen)
#define over (phase == kReset || (phase == kOpen && acknowledged == END && consumed == END))

// ---- Lanes

inline transmit(what, value) {
  if
  :: lane == newest -> outbound(lane)!what,value
  :: else // an exit that does not know of the cut yet
  fi
}

inline send_table() {
  if
  :: !known -> transmit(TABLE_ABSENT, 0)
  :: phase == kOpening -> transmit(TABLE_OPENING, 0)
  :: phase == kOpen -> transmit(TABLE_OPEN, received)
  :: phase == kReset -> transmit(TABLE_RESET, 0)
  fi
}

inline fence(channel) {
  do
  :: kFence && nempty(channel) -> channel?_,_
  :: !kFence || empty(channel) -> break
  od
}

inline next_lane() {
  fence(inbound(lane));
  cuts_left--;
  lane++;
  newest = lane;
  has_table = false;
  transmit(HELLO, 0);
  send_table()
}

inline on_hello() {
  do
  :: lane < n -> fence(inbound(lane)); lane++
  :: else -> break
  od;
  has_table = false;
  send_table()
}

// ---- The end of a stream

inline forget() {
  if
  :: phase == kReset -> outcome[me] = (reset_here -> kResetHere : kResetThere)
  :: else ->
     assert(acknowledged == END && consumed == END);
     outcome[me] = kOrderly
  fi;
  phase = kForgotten;
  reset_here = false;
  next = 0; acknowledged = 0; received = 0; consumed = 0;
  owe_open = false; owe_opened = false; owe_reset = false; owe_credit = false;
  done_sent = false; done_received = false
}

inline settle() {
  if
  :: done_sent && (done_received || !kTombstone) -> forget()
  :: else
  fi
}

// A tombstone has no buffers and no positions in them.
inline become_reset(by_me) {
  phase = kReset;
  reset_here = by_me; owe_reset = by_me;
  next = 0; acknowledged = 0; received = 0; consumed = 0;
  owe_open = false; owe_opened = false; owe_credit = false
}

// ---- TABLE

inline rewind_to(position) {
  assert(position >= acknowledged);
  next = (kExactRewind -> position : acknowledged);
  do
  :: next < position -> next++
  :: next == position || !kExactRewind -> break
  od
}

inline on_entry(what, position) {
  done_sent = done_sent && !kSecondDone;
  assert(phase != kOpening || me == CLIENT || what != TABLE_OPEN);
  assert(phase != kOpen || me == EXIT || what != TABLE_OPENING);
  if
  :: phase == kOpen && what == TABLE_OPENING ->
     owe_opened = true;
     rewind_to(0) // what was sent behind the lost OPENED is lost too
  :: phase == kOpen && what == TABLE_OPEN ->
     owe_credit = true;
     rewind_to(position)
  :: phase == kReset && what != TABLE_RESET -> owe_reset = true
  :: else
  fi
}

inline on_absence() {
  if
  :: over -> forget() // the other side has, after our DONE, or never heard of it
  :: !over && phase == kOpening && me == CLIENT -> owe_open = true
  :: else -> assert(!known) // nobody forgets a stream that the other side still uses
  fi
}

inline on_table(what, position) {
  has_table = true;
  if
  :: what == TABLE_ABSENT -> on_absence()
  :: what != TABLE_ABSENT && known -> on_entry(what, position)
  :: else
  fi
}

// ---- Frames of the stream

inline on_open() {
  if
  :: !known ->
     assert(!connected);
     connected = true;
     phase = kOpening
  :: phase == kOpen -> owe_opened = true
  :: phase == kReset -> owe_reset = true
  :: else
  fi
}

// What is delivered has to be the unit that follows the last one. A unit's value is its offset at the sender.
inline on_data(offset) {
  assert(phase == kOpen && offset < consumed + WINDOW);
  if
  :: kDuplicateCheck && offset < received
  :: else ->
     assert(offset == received);
     received++
  fi
}

inline on_fin() {
  assert(phase == kOpen && received >= UNITS);
  received = END
}

inline on_credit(position) {
  assert(phase == kOpen);
  acknowledged = (position > acknowledged -> position : acknowledged);
  next = (acknowledged > next -> acknowledged : next)
}

inline on_frame(what, value) {
  if
  :: what == OPEN -> on_open()
  :: what == OPENED && phase == kOpening -> phase = kOpen
  :: what == DATA && alive -> on_data(value)
  :: what == FIN && alive -> on_fin()
  :: what == CREDIT && alive -> on_credit(value)
  :: what == RESET && alive && !over -> become_reset(false)
  :: what == DONE && known ->
     assert(over);
     done_received = true;
     settle()
  :: else // of an unknown stream, or said again
  fi
}

#define is_table(what) (what == TABLE_ABSENT || what == TABLE_OPENING || what == TABLE_OPEN || what == TABLE_RESET)

inline receive() {
  inbound(n)?what,value;
  if
  :: what == HELLO && n > lane -> on_hello()
  :: is_table(what) && n == lane -> on_table(what, value)
  :: what != HELLO && !is_table(what) -> on_frame(what, value)
  :: else // HELLO or TABLE of a lane that is not the newest any more
  fi;
  n = 0; what = 0; value = 0
}

// ---- The two sides

#define may_send ((has_table || !kTableWait) && (lane < newest || nfull(outbound(lane))))
#define may_send_data (may_send && phase == kOpen && !owe_opened)

proctype peer(bit me) {
  byte lane = 0;         // the newest that this side knows
  bool has_table = true; // the other side's TABLE of that lane; the first lane needs none
  byte cuts_left = 0;
  bool may_reset;
  bool connected = false;

  mtype phase = kNone;
  bool reset_here = false;
  byte next = 0, acknowledged = 0; // sending: the offset that is next; what CREDIT said
  byte received = 0, consumed = 0; // receiving
  bool owe_open = false, owe_opened = false, owe_reset = false, owe_credit = false;
  bool done_sent = false, done_received = false;

  byte n, value; // the message that is looked at: its lane
  mtype what;

  // Decided beforehand: a cut or reset that could still come would hide that nothing else can happen any more.
  if
  :: may_reset = false
  :: may_reset = true
  fi;
  if
  :: me == CLIENT ->
     phase = kOpening; owe_open = true;
     select(cuts_left : 0 .. CUTS)
  :: else
  fi;

  do
  :: atomic {
       if
       :: nempty(inbound(0)) -> n = 0
       :: CUTS > 0 && nempty(inbound(1 % (CUTS + 1))) -> n = 1
       :: CUTS > 1 && nempty(inbound(2 % (CUTS + 1))) -> n = 2
       fi;
       receive()
     }
  :: d_step { cuts_left > 0 -> next_lane() }

  // What the applications do. Reading is a step of its own: what was received is not consumed yet.
  :: d_step { me == EXIT && phase == kOpening -> phase = kOpen; owe_opened = true }
  :: d_step { me == EXIT && phase == kOpening -> become_reset(true) }
  :: d_step { phase == kOpen && consumed < received -> consumed++; owe_credit = true }
  :: d_step { may_reset && alive && !over ->
       may_reset = false;
       if
       :: owe_open -> become_reset(true); forget() // the exit never heard of it
       :: else -> become_reset(true)
       fi
     }

  // What is sent.
  :: d_step { may_send && owe_open -> transmit(OPEN, 0); owe_open = false }
  :: d_step { may_send && owe_opened -> transmit(OPENED, 0); owe_opened = false }
  :: d_step { may_send && owe_credit -> transmit(CREDIT, consumed); owe_credit = false }
  :: d_step { may_send && owe_reset -> transmit(RESET, 0); owe_reset = false }
  :: d_step { may_send && over && !done_sent && !owe_credit && !owe_reset ->
       transmit(DONE, 0);
       done_sent = true;
       settle()
     }
  :: d_step { may_send_data && next < UNITS && next < acknowledged + WINDOW -> transmit(DATA, next); next++ }
  :: d_step { may_send_data && next == UNITS -> transmit(FIN, 0); next = END }

  :: timeout -> break // neither side has a step left
  od;

  // Nothing hangs: both have forgotten the stream, or it never reached the exit.
  assert(outcome[CLIENT] != kUnknown && !known);
  // Both agree. Who has all, and waits only for the last acknowledgement, can still reset what ended in order there.
  assert(outcome[me] != kOrderly || outcome[1 - me] == kOrderly || outcome[1 - me] == kResetHere);
  assert(outcome[me] != kResetThere || outcome[1 - me] == kResetHere);
  assert(outcome[me] != kUnknown || outcome[1 - me] == kResetHere)
}

init {
  atomic { run peer(CLIENT); run peer(EXIT) }
}
