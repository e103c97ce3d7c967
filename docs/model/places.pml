// SPDX-License-Identifier: MIT
//
// An exit's places for lanes that are on their way (exit/half_open.cpp; PROTOCOL.md, "Limits"), with a hostile relay, a
// hostile guest at the user's relay, and the user. README.md beside this file says what is left out; `check` runs it.
// Each `::` of a loop is one step, and Spin tries all orders of all steps.

#ifndef PLACES
#define PLACES 6 // 64 in truth, of which each of two relays has half
#endif
#ifndef OF_AN_INVITE
#define OF_AN_INVITE 1 // 4 in truth
#endif
#define SHARE (PLACES / 2)
// What the guest can do at the user's relay: so many dials at once, and so many knocks between the user's and its
// message 1. With one more the user may find only dials, or be the oldest of the strangers that are left: not a rule
// that could be taken out, but the end of what is claimed.
#define STRANGERS (SHARE - OF_AN_INVITE - 1)
#ifdef ONE_KNOCK_MORE
#define KNOCKS (STRANGERS + 1)
#else
#define KNOCKS STRANGERS
#endif
#ifdef ONE_DIAL_MORE
#define DIALS (STRANGERS + 1)
#else
#define DIALS STRANGERS
#endif

// Rules that can be taken out, one macro each. `check` wants an error from every one of them.
#ifdef NO_SHARE_OF_A_RELAY
#define kRelaysHaveShares false
#else
#define kRelaysHaveShares true
#endif
#ifdef NO_SHARE_OF_AN_INVITE
#define kInvitesHaveShares false
#else
#define kInvitesHaveShares true
#endif
#ifdef STRANGERS_LIKE_GUESTS
#define kStrangersFirst false
#else
#define kStrangersFirst true
#endif
#ifdef NO_BOUND
#define kBound false
#else
#define kBound true
#endif

#define USERS 0 // relays
#define HOSTILE 1
#define other(r) (1 - (r))

#define kDialling 0 // what a lane has shown
#define kStranger 1 // a pair, no message 1
#define kGuest 2    // a message 1 of the guest's invite
#define kUser 3     // and of the user's

#define ROOM (PLACES + 1) // so that one too many is seen, and not a fault of the model

#define kNobody 255

// The oldest first, as in half_open.hpp.
byte relay[ROOM], shown[ROOM];
bit users[ROOM]; // the user's own lane
byte count;
byte knocks = kNobody; // that the guest still has; kNobody: as many as he likes

// Of a step.
byte i, victim, from, most, held[2], of_guest[2], of_user[2];
bit answered;

inline find(condition) {
  i = 0;
  do
  :: i < count && !(condition) -> i++
  :: else -> break
  od;
  victim = (i < count -> i : kNobody);
  i = 0
}

inline take_out(at) {
  i = at;
  do
  :: i + 1 < count -> relay[i] = relay[i + 1]; shown[i] = shown[i + 1]; users[i] = users[i + 1]; i++
  :: else -> break
  od;
  count--;
  relay[count] = 0; shown[count] = 0; users[count] = 0;
  i = 0
}

inline count_places() {
  i = 0;
  do
  :: i < count ->
     held[relay[i]]++;
     of_guest[relay[i]] = of_guest[relay[i]] + (shown[i] == kGuest);
     of_user[relay[i]] = of_user[relay[i]] + (shown[i] == kUser);
     i++
  :: else -> break
  od
}

// HalfOpen::who_gives_way
inline who_gives_way(newcomer) {
  from = (held[other(newcomer)] > held[newcomer] + 1 -> other(newcomer) : newcomer); // who would have most
  most = (of_guest[from] >= of_user[from] -> kGuest : kUser);
  if
  :: !kRelaysHaveShares -> victim = 0
  :: kRelaysHaveShares && kInvitesHaveShares && (of_guest[from] > OF_AN_INVITE || of_user[from] > OF_AN_INVITE) ->
     find(relay[i] == from && shown[i] == most)
  :: else ->
     if
     :: from == newcomer ->
        find(relay[i] == from && (shown[i] == kStranger || !kStrangersFirst && shown[i] != kDialling))
     :: else ->
        find(relay[i] == from && (shown[i] <= kStranger || !kStrangersFirst));
        if
        :: victim == kNobody -> find(relay[i] == from)
        :: else
        fi
     fi
  fi
}

// HalfOpen::admit
inline admit(through, is_users) {
  answered = true;
  count_places();
  if
  :: count >= PLACES && kBound ->
     who_gives_way(through);
     if
     :: victim == kNobody ->
        answered = false;
        assert(held[through] >= SHARE) // whose relay has less than its share is not turned away
     :: else ->
        assert(!users[victim]); // the user is never ended
        // Nor is anybody for a relay that has as many then.
        assert(relay[victim] == through || held[relay[victim]] > held[through] + 1);
        take_out(victim)
     fi
  :: else
  fi;
  assert(answered || !is_users); // nor turned away
  if
  :: answered -> relay[count] = through; shown[count] = kDialling; users[count] = is_users; count++
  :: else
  fi;
  assert(count <= PLACES);
  forget()
}

// What a step has left behind would only make more states.
inline forget() {
  i = 0; victim = 0; from = 0; most = 0; answered = 0; n = 0;
  held[0] = 0; held[1] = 0; of_guest[0] = 0; of_guest[1] = 0; of_user[0] = 0; of_user[1] = 0
}

#define mine(at) (at < count && !users[at])
#define goes_on(at) (mine(at) && shown[at] < kGuest)

#define dials_at_users (dialling(0) + dialling(1) + dialling(2) + dialling(3) + dialling(4) + dialling(5))
#define dialling(at) (at < count && at < PLACES && relay[at] == USERS && shown[at] == kDialling && !users[at])

#define pick_a_lane \
  if :: count > 0 -> n = 0 :: count > 1 -> n = 1 :: count > 2 -> n = 2 \
  :: count > 3 -> n = 3 :: count > 4 -> n = 4 :: count > 5 -> n = 5 fi

// All that is not the user: the hostile relay, which wakes the exit as it likes and answers when it likes, and the
// guest, who comes through both relays. Nobody has to do anything (`end`).
active proctype attackers() {
  byte n;
end:
  do
  :: d_step { true -> admit(HOSTILE, 0) }
  :: d_step { knocks > 0 && dials_at_users < DIALS ->
       knocks = (knocks == kNobody -> kNobody : knocks - 1);
       admit(USERS, 0)
     }
  // From dialling to a pair, from there to a message 1.
  :: atomic { pick_a_lane;
       if
       :: goes_on(n) -> d_step { shown[n]++; n = 0 }
       :: else -> n = 0
       fi
     }
  :: atomic { pick_a_lane;
       if
       :: mine(n) -> d_step { take_out(n); n = 0 }
       :: else -> n = 0
       fi
     }
  od
}

// The user: four steps of its own, again and again.
active proctype user() {
  byte n;
end:
  do
  :: d_step { true -> admit(USERS, 1); knocks = KNOCKS };
     d_step { find(users[i]); shown[victim] = kStranger; forget() };
     d_step { find(users[i]); shown[victim] = kUser; knocks = kNobody; forget() };
     d_step { find(users[i]); take_out(victim); forget() } // its first record: the place is free
  od
}
