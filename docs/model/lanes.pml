// SPDX-License-Identifier: MIT
//
// Several lanes of one session at once: which lane a stream is bound to, and how both ends agree where it goes when
// that lane dies (PROTOCOL.md, "Several lanes"). README.md beside this file says what is left out; `check` runs it.
// What becomes of a single stream is resume.pml's; here streams only open and carry data. Each `::` of the loop at the
// end is one step of one end, and Spin tries all orders of all steps.
//
// A lane dies at each end on its own. What the other end sent before and this one has not received is lost with it, or
// was late and came first: Spin tries both. What is sent to an end where the lane is dead goes nowhere.

#ifndef LANES
#define LANES 4 // numbers 0 to 3: 0 and 1 are there at first. The last one does not die
#endif
#ifndef CUTS
#define CUTS 2 // at most so many deaths at one end, not counting those that the other end finds then
#endif
#ifndef JOINS
#define JOINS 1 // at most so many lanes join; what resumes is not counted
#endif
#ifndef UP
#define UP 2 // units of data that the client sends on stream 0; on stream 1 it is one
#endif
#ifndef DOWN
#define DOWN 1 // and the exit, on stream 0
#endif
#ifndef DOWN_1
#define DOWN_1 0 // and on stream 1
#endif
#define STREAMS 2
#define units(s, end) (end == CLIENT -> (s == 0 -> UP : 1) : (s == 0 -> DOWN : DOWN_1))
#ifndef CAPACITY
#define CAPACITY 8 // messages in flight, per lane and direction; with these bounds there are never more
#endif

// Rules that can be taken out, one macro each. `check` wants an error from every one of them.
#ifdef NO_FENCE_AT_EXIT
#define kFenceAtExit false
#else
#define kFenceAtExit true
#endif
#ifdef NO_FENCE_AT_CLIENT
#define kFenceAtClient false
#else
#define kFenceAtClient true
#endif
#ifdef NO_SECOND_DECLARATION
#define kSecondDeclaration false
#else
#define kSecondDeclaration true
#endif
#ifdef EXIT_CHOOSES
#define kExitChooses true
#else
#define kExitChooses false
#endif
#ifdef NO_WAIT_WHILE_MOVING
#define kWaitWhileMoving false
#else
#define kWaitWhileMoving true
#endif
#ifdef NO_WAIT_FOR_EXCHANGE
#define kOneExchange false
#else
#define kOneExchange true
#endif
#ifdef NO_LATE_HELLO_CHECK
#define kDownRaises false
#else
#define kDownRaises true
#endif
#ifdef NO_WAIT_FOR_WELCOME
#define kWelcomeFirst false
#else
#define kWelcomeFirst true
#endif
// Not a rule: the client finds out itself, later.
#ifdef EXIT_SILENT
#define kExitTells false
#else
#define kExitTells true
#endif

#define CLIENT 0
#define EXIT 1
#define kAbsent 0  // entries of a TABLE, which is one message; higher ones say what was received
#define kOpening 1 // also a phase of a stream, as are
#define kOpen 2
#define kNone 0

mtype = { HELLO_JOIN, WELCOME, HELLO_RESUME, LANE_DOWN, TABLE, OPEN, OPENED, DATA };
mtype = { kNever, kJoining, kLive, kDead }; // what a lane is to one end

chan wire[2 * LANES] = [CAPACITY] of { mtype, byte, byte };
#define inbound(n) wire[2 * (n) + me]
#define outbound(n) wire[2 * (n) + 1 - me]

mtype standing[2 * LANES] = kNever;
#define here(n) standing[2 * (n) + me]
#define there(n) standing[2 * (n) + 1 - me]

#define held(n) (here(n) == kLive || here(n) == kJoining)

byte bound[2 * STREAMS]; // the lane of each stream
#define lane(s) bound[2 * (s) + me]
#define lane_there(s) bound[2 * (s) + 1 - me]

byte cuts;      // that are still to come

#define fences (me == CLIENT -> kFenceAtClient : kFenceAtExit)
#define bit(n) (1 << (n))
#define has(set, n) (((set) >> (n)) & 1)

// ---- Lanes

inline transmit(to, what, a, b) {
  if
  :: there(to) == kDead
  :: else -> outbound(to)!what,a,b
  fi
}

inline fence(which) {
  do
  :: nempty(inbound(which)) && fences -> inbound(which)?_,_,_
  :: empty(inbound(which)) || !fences -> break
  od
}

inline lose(which) {
  here(which) = kDead;
  fence(which);
  dead = dead | bit(which);
  if
  :: kSecondDeclaration -> dead = dead | declared[which]
  :: else
  fi;
  declared[which] = 0;
  owe_table = owe_table & ~bit(which);
  await_table = await_table & ~bit(which);
  resuming = resuming & ~bit(which);
  tell = (me == EXIT && kExitTells)
}

inline lose_all_of(set) {
  i = 0;
  do
  :: i < LANES && has(set, i) && held(i) -> lose(i)
  :: i < LANES && !(has(set, i) && held(i)) -> i++
  :: i == LANES -> break
  od;
  i = 0
}

// ---- An exchange of tables on lane `to`, about the streams that are bound to lanes of a set

inline begin_exchange(set, to) {
  i = 0;
  do
  :: i < STREAMS ->
     if
     :: phase[i] != kNone && has(set, lane(i)) -> lane(i) = to; moving[i] = true
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0;
  owe_table = owe_table | bit(to);
  await_table = await_table | bit(to)
}

inline finish_exchange(on) {
  if
  :: !has(owe_table | await_table, on) ->
     declared[on] = 0;
     resuming = resuming & ~bit(on);
     tell = (tell || dead != 0 && me == EXIT && kExitTells);
     i = 0;
     do
     :: i < STREAMS ->
        moving[i] = moving[i] && lane(i) != on;
        i++
     :: else -> break
     od;
     i = 0
  :: else
  fi
}

#define entry(s, on) (!moving[s] || lane(s) != (on) -> kAbsent : (phase[s] == kOpen -> kOpen + received[s] : phase[s]))

inline on_entry(s, what, on) {
  if
  :: what == kAbsent && moving[s] && lane(s) == on ->
     assert(me == CLIENT && phase[s] == kOpening); // the other end never heard of it
     owe_open[s] = true
  :: what != kAbsent && phase[s] != kNone ->
     assert(moving[s] && lane(s) == on); // both ends have it on the same lane
     assert(!owe_open[s]);
     if
     :: phase[s] == kOpen && what == kOpening ->
        assert(me == EXIT);
        owe_opened[s] = true;
        next[s] = 0
     :: phase[s] == kOpen && what != kOpening ->
        assert(what - kOpen <= next[s]);
        next[s] = what - kOpen
     :: else // OPENED comes again
     fi
  :: what != kAbsent && phase[s] == kNone -> assert(me == EXIT)
  :: else
  fi
}

// ---- Frames

inline on_hello(from, resumes) {
  if
  :: from > newest ->
     newest = from;
     if
     :: resumes -> lose_all_of(bit(from) - 1)
     :: else
     fi;
     here(from) = kLive;
     if
     :: resumes ->
        dead = 0; tell = false;
        resuming = bit(from);
        begin_exchange(255, from)
     :: else -> tell = (dead != 0 && kExitTells)
     fi;
     transmit(from, WELCOME, 0, 0)
  :: else -> // late
     here(from) = kDead;
     fence(from)
  fi
}

inline on_lane_down(from, lanes) {
  assert(!has(lanes, from));
  if
  :: me == EXIT ->
     assert(!has(owe_table | await_table, from)); // one exchange at a time
     i = 0;
     do
     :: i < LANES && has(lanes, i) && i > newest && kDownRaises -> newest = i
     :: i < LANES && !(has(lanes, i) && i > newest && kDownRaises) -> i++
     :: i == LANES -> break
     od;
     lose_all_of(lanes);
     dead = dead & ~lanes;
     tell = (tell && dead != 0);
     begin_exchange(lanes, from)
  :: else -> lose_all_of(lanes)
  fi
}

inline on_open(s, from) {
  if
  :: phase[s] == kNone -> phase[s] = kOpen; lane(s) = from
  :: else
  fi;
  owe_opened[s] = true
}

// What is delivered has to be the unit that follows the last one. A unit's value is its offset at the sender.
inline on_data(s, offset) {
  assert(phase[s] == kOpen);
  assert(offset == received[s]);
  received[s]++
}

inline on_frame(from) {
  if
  :: what == HELLO_JOIN || what == HELLO_RESUME -> on_hello(from, what == HELLO_RESUME)
  :: what == WELCOME && (here(from) == kLive || here(from) == kJoining) ->
     here(from) = kLive;
     welcome = true
  :: what == LANE_DOWN && here(from) == kLive -> on_lane_down(from, a)
  :: what == TABLE && here(from) == kLive ->
     assert(has(await_table, from));
     on_entry(0, a, from);
     on_entry(1, b, from);
     await_table = await_table & ~bit(from);
     finish_exchange(from)
  :: what == OPEN -> on_open(a, from)
  :: what == OPENED -> phase[a] = kOpen
  :: what == DATA -> on_data(a, b)
  :: else // without a fence
  fi;
  what = 0; a = 0; b = 0
}

// ---- The two ends

#define usable(n) (here(n) == kLive && !has(resuming, n))
#define free(n) (here(n) == kLive && !(has(owe_table | await_table, n) && kOneExchange))
#define no_lane (!held(0) && !held(1) && !held(2) && !held(3))
#define no_live_lane (here(0) != kLive && here(1) != kLive && here(2) != kLive && here(3) != kLive)
#define may_lose(n) (held(n) && (there(n) == kDead || cuts > 0 && n < LANES - 1)) // PING finds the first
#define may_send(s) (here(lane(s)) == kLive && !has(resuming, lane(s)) && !(moving[s] && kWaitWhileMoving))
#define one_of_lanes(condition) \
  if :: condition(0) -> n = 0 :: condition(1) -> n = 1 :: condition(2) -> n = 2 :: condition(3) -> n = 3 fi

#define arrives(n) nempty(inbound(n))
#define may_tell(n) (tell && here(n) == kLive)
#define may_declare(n) (me == CLIENT && dead != 0 && free(n))
#define may_send_table(n) has(owe_table, n)
#define may_open_on(n) (me == CLIENT && (phase[0] == kNone || phase[1] == kNone) && usable(n))

#define owes_opening(s) (may_send(s) && (owe_open[s] || owe_opened[s]))
#define owes_data(s) (may_send(s) && phase[s] == kOpen && !owe_opened[s] && next[s] < units(s, me))

proctype peer(bit me) {
  byte newest = 1;     // the highest number that was ever heard of
  byte joins = 0;
  bool welcome = true; // the client: no resume is unanswered
  byte dead = 0;       // lanes that both ends have not yet agreed about
  bool tell = false;   // the exit: that they are to be told; it does no more about them
  byte declared[LANES] = 0; // the client: what the exchange on this lane is about
  byte owe_table = 0, await_table = 0, resuming = 0; // sets of lanes

  byte phase[STREAMS] = kNone;
  bool moving[STREAMS] = false; // waits for the end of the exchange
  bool owe_open[STREAMS] = false, owe_opened[STREAMS] = false;
  byte next[STREAMS] = 0, received[STREAMS] = 0;

  byte n, i, a, b; // of the step that is taken
  mtype what;

  // One stream is there.
  phase[0] = kOpen;

  // Decided beforehand: what could still come would hide that nothing else can happen any more.
  if
  :: me == CLIENT -> select(joins : 0 .. JOINS)
  :: else
  fi;

  do
  :: atomic { one_of_lanes(arrives);
       d_step { inbound(n)?what,a,b; on_frame(n); n = 0 }
     }

  :: atomic { one_of_lanes(may_lose);
       d_step {
         cuts = (there(n) == kDead -> cuts : cuts - 1);
         lose(n);
         if
         :: kExitChooses && me == EXIT -> // its streams go to the lowest lane that lives
            i = 0;
            do
            :: i < LANES && here(i) != kLive -> i++
            :: else -> break
            od;
            if
            :: i < LANES && phase[0] != kNone && lane(0) == n -> lane(0) = i
            :: else
            fi;
            if
            :: i < LANES && phase[1] != kNone && lane(1) == n -> lane(1) = i
            :: else
            fi;
            i = 0
         :: else
         fi;
         n = 0
       }
     }
  :: atomic { one_of_lanes(may_tell);
       d_step { transmit(n, LANE_DOWN, dead, 0); tell = false; n = 0 }
     }
  :: atomic { one_of_lanes(may_declare);
       d_step {
         declared[n] = dead;
         transmit(n, LANE_DOWN, dead, 0);
         begin_exchange(dead, n);
         dead = 0;
         n = 0
       }
     }
  :: atomic { one_of_lanes(may_send_table);
       d_step {
         transmit(n, TABLE, entry(0, n), entry(1, n));
         owe_table = owe_table & ~bit(n);
         finish_exchange(n);
         n = 0
       }
     }

  :: d_step { joins > 0 && newest < LANES - 1 && !no_live_lane && (welcome || !kWelcomeFirst) ->
       joins--;
       newest++;
       here(newest) = kJoining;
       transmit(newest, HELLO_JOIN, 0, 0)
     }
  :: d_step { me == CLIENT && newest < LANES - 1 && no_lane ->
       newest++;
       here(newest) = kLive;
       welcome = false;
       dead = 0;
       resuming = bit(newest);
       transmit(newest, HELLO_RESUME, 0, 0);
       begin_exchange(255, newest)
     }

  // Streams.
  :: atomic { one_of_lanes(may_open_on);
       d_step {
         i = (phase[0] == kNone -> 0 : 1);
         phase[i] = kOpening;
         lane(i) = n;
         transmit(n, OPEN, i, 0);
         i = 0; n = 0
       }
     }
  :: atomic { if :: owes_opening(0) -> i = 0 :: owes_opening(1) -> i = 1 fi;
       d_step {
         transmit(lane(i), (owe_open[i] -> OPEN : OPENED), i, 0);
         owe_open[i] = false; owe_opened[i] = false;
         i = 0
       }
     }
  :: atomic { if :: owes_data(0) -> i = 0 :: owes_data(1) -> i = 1 fi;
       d_step { transmit(lane(i), DATA, i, next[i]); next[i]++; i = 0 }
     }

  :: timeout -> break // neither end has a step left
  od;

  // Everything has arrived, and both ends see the same.
  for (i : 0 .. STREAMS - 1) {
    assert(phase[i] == kOpen && !moving[i]);
    assert(received[i] == units(i, 1 - me));
    assert(lane(i) == lane_there(i) && here(lane(i)) == kLive)
  }
  for (i : 0 .. LANES - 1) {
    assert(here(i) == there(i))
  }
  assert(dead == 0 && owe_table == 0 && await_table == 0)
}

init {
  atomic {
    standing[0] = kLive; standing[1] = kLive; standing[2] = kLive; standing[3] = kLive;
    select(cuts : 0 .. CUTS);
    run peer(CLIENT);
    run peer(EXIT)
  }
}
