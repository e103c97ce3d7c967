// SPDX-License-Identifier: MIT
//
// A relay's places for pairs (relay/shares.cpp, relay/rooms.cpp; PROTOCOL.md, "Registration"): those of the relay and
// those of each room, shared out by source. Three sources, each of which takes as many pairs as it can, in two rooms,
// so what is claimed is so for each of them. README.md beside this file says what is left out; `check` runs it. Each
// `::` of the loop is one step, and Spin tries all orders of all steps.

#ifndef PAIRS
#define PAIRS 6 // 10,000 in truth
#endif
#ifndef OF_A_ROOM
#define OF_A_ROOM 5
#endif
#ifndef OF_A_SOURCE
#define OF_A_SOURCE 4 // a tenth of them
#endif
#define SOURCES 3
#define ROOMS 2

// Rules that can be taken out, one macro each. `check` wants an error from every one of them.
#ifdef NEWEST_GIVES_WAY
#define kHeaviest false
#else
#define kHeaviest true
#endif
#ifdef EQUALS_GIVE_WAY
#define kMoreThanNewcomer 1
#else
#define kMoreThanNewcomer 2
#endif
#ifdef FROM_ANY_ROOM
#define kWithinRoom false
#else
#define kWithinRoom true
#endif

#define kNobody 255
#define ROOM (PAIRS + 1) // so that one too many is seen, and not a fault of the model

// The oldest first.
byte source[ROOM], room[ROOM];
byte count;

// Of a step: what is full, and who has how much of it.
byte i, victim, heaviest, share, used, in_room, held[SOURCES], of_source;
bit room_is_full, relay_is_full;

inline forget() {
  i = 0; victim = 0; heaviest = 0; share = 0; used = 0; in_room = 0; of_source = 0;
  held[0] = 0; held[1] = 0; held[2] = 0;
  room_is_full = 0; relay_is_full = 0
}

inline take_out(at) {
  i = at;
  do
  :: i + 1 < count -> source[i] = source[i + 1]; room[i] = room[i + 1]; i++
  :: else -> break
  od;
  count--;
  source[count] = 0; room[count] = 0;
  i = 0
}

#define within(r) (!room_is_full || !kWithinRoom || room[i] == (r)) // what the full table is about

inline count_pairs(newcomer, r) {
  i = 0;
  do
  :: i < count ->
     in_room = in_room + (room[i] == r);
     of_source = of_source + (source[i] == newcomer);
     i++
  :: else -> break
  od;
  room_is_full = in_room >= OF_A_ROOM;
  relay_is_full = count >= PAIRS;
  i = 0;
  do
  :: i < count ->
     held[source[i]] = held[source[i]] + within(r);
     used = used + within(r);
     i++
  :: else -> break
  od;
  share = used / ((held[0] > 0 || newcomer == 0) + (held[1] > 0 || newcomer == 1) + (held[2] > 0 || newcomer == 2));
  i = 0
}

// Shares::giving_way_to: the newest of the source that has most, the first of equals.
inline giving_way_to(newcomer, r) {
  heaviest = (held[1] > held[0] -> 1 : 0);
  heaviest = (held[2] > held[heaviest] -> 2 : heaviest);
  victim = kNobody;
  if
  :: held[heaviest] >= held[newcomer] + kMoreThanNewcomer || !kHeaviest ->
     do
     :: i < count ->
        victim = (within(r) && (source[i] == heaviest || !kHeaviest) -> i : victim);
        i++
     :: else -> break
     od;
     i = 0
  :: else
  fi
}

// Rooms::reserve_pair
inline reserve(newcomer, r) {
  count_pairs(newcomer, r);
  if
  :: of_source >= OF_A_SOURCE -> victim = kNobody // 429
  :: of_source < OF_A_SOURCE && (room_is_full || relay_is_full) ->
     giving_way_to(newcomer, r);
     if
     :: victim == kNobody -> assert(held[newcomer] >= share) // who has less than its share is not turned away
     :: else ->
        i = source[victim];
        assert(held[i] > share); // a pair of a source within its share stays
        assert(held[i] - 1 >= held[newcomer] + 1); // and nobody ends up with less than the newcomer has then
        take_out(victim);
        source[count] = newcomer; room[count] = r; count++
     fi
  :: else ->
     source[count] = newcomer; room[count] = r; count++
  fi;
  assert(count <= PAIRS);
  in_room = 0; i = 0;
  do
  :: i < count -> in_room = in_room + (room[i] == r); i++
  :: else -> break
  od;
  assert(in_room <= OF_A_ROOM);
  forget()
}

active proctype sources() {
  byte n, r;
end:
  do
  :: atomic { select(n : 0 .. SOURCES - 1); select(r : 0 .. ROOMS - 1); d_step { reserve(n, r); n = 0; r = 0 } }
  :: atomic { count > 0 -> select(n : 0 .. PAIRS - 1);
       if
       :: n < count -> d_step { take_out(n); n = 0 } // it ends
       :: else -> n = 0
       fi
     }
  od
}
