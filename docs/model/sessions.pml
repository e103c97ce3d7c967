// SPDX-License-Identifier: MIT
//
// An exit's places for sessions (exit/session_shares.cpp; PROTOCOL.md, "Limits"): a hostile guest of several devices, a
// user and a friend of one device each. All open as many sessions as they like, so what is claimed is so for each of
// them. README.md beside this file says what is left out; `check` runs it. Each `::` of the loop is one step, and Spin
// tries all orders of all steps.

#ifndef SESSIONS
#define SESSIONS 6 // 128 in truth
#endif

// Rules that can be taken out, one macro each. `check` wants an error from every one of them.
#ifdef NO_SHARE
#define kShare false
#else
#define kShare true
#endif
#ifdef NEWEST_GIVES_WAY
#define kHeaviest false
#else
#define kHeaviest true
#endif
#ifdef NO_BOUND
#define kBound false
#else
#define kBound true
#endif

// Devices; each invite but the hostile one has one.
#define USER 0
#define FRIEND 1
#define HOSTILE 2 // the first of those of its invite
#ifndef DEVICES
#define DEVICES 2
#endif
#define INVITES 3
#define invite(d) (d >= HOSTILE -> HOSTILE : d)

#define kNobody 255
#define kLast 200 // a turn that never comes
#define ROOM (SESSIONS + 1) // so that one too many is seen, and not a fault of the model

// Who became an orphan last, or came last, stands last.
byte device[ROOM];
bit orphan[ROOM];
byte count;

// Of a step.
byte i, victim, turn, best, lightness, lightest, share, held[INVITES], of_device[HOSTILE + DEVICES];
byte theirs, newcomers;

inline forget() {
  i = 0; victim = 0; turn = 0; best = 0; lightness = 0; lightest = 0; share = 0; theirs = 0; newcomers = 0;
  do
  :: i < INVITES -> held[i] = 0; i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < HOSTILE + DEVICES -> of_device[i] = 0; i++
  :: else -> break
  od;
  i = 0
}

inline take_out(at) {
  i = at;
  do
  :: i + 1 < count -> device[i] = device[i + 1]; orphan[i] = orphan[i + 1]; i++
  :: else -> break
  od;
  count--;
  device[count] = 0; orphan[count] = 0;
  i = 0
}

inline put_last(who, is_orphan) {
  device[count] = who; orphan[count] = is_orphan; count++
}

inline weigh(newcomer) {
  i = 0;
  do
  :: i < count -> held[invite(device[i])]++; of_device[device[i]]++; i++
  :: else -> break
  od;
  share = (held[USER] > 0 || newcomer == USER) + (held[FRIEND] > 0 || newcomer == FRIEND) +
          (held[HOSTILE] > 0 || newcomer >= HOSTILE);
  share = count / share;
  i = 0
}

// session_shares.cpp: against_newcomer and turn_of
inline turn_of(at, newcomer) {
  if
  :: invite(device[at]) == invite(newcomer) -> theirs = of_device[device[at]]; newcomers = 1 + of_device[newcomer]
  :: else -> theirs = held[invite(device[at])]; newcomers = 1 + held[invite(newcomer)]
  fi;
  if
  :: kShare && invite(device[at]) != invite(newcomer) && theirs <= share && theirs > newcomers -> theirs = newcomers
  :: else
  fi;
  if
  :: orphan[at] && (theirs > newcomers || device[at] == newcomer) -> turn = 1
  :: orphan[at] && theirs == newcomers && device[at] != newcomer -> turn = 3
  :: !orphan[at] && theirs > newcomers && of_device[device[at]] > 1 -> turn = 2
  :: !orphan[at] && theirs > newcomers && of_device[device[at]] <= 1 -> turn = 4
  :: else -> turn = kLast
  fi
}

inline session_that_gives_way(newcomer) {
  victim = kNobody; best = kLast;
  do
  :: i < count ->
     turn_of(i, newcomer);
     lightness = count - of_device[device[i]];
     // Of equals the oldest orphan, and the newest that runs.
     if
     :: turn < best || turn < kLast && turn == best && (lightness < lightest || lightness == lightest && !orphan[i]) ->
        best = turn; lightest = lightness; victim = i
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0;
  if
  :: kHeaviest
  :: else -> victim = count - 1
  fi
}

inline admit(newcomer) {
  weigh(newcomer);
  if
  :: count >= SESSIONS && kBound ->
     session_that_gives_way(newcomer);
     if
     :: victim == kNobody ->
        assert(held[invite(newcomer)] >= share) // whose invite has less than its share is not turned away
     :: else ->
        // A session that runs, of an invite within its share, is ended by nobody else.
        theirs = invite(device[victim]);
        assert(orphan[victim] || theirs == invite(newcomer) || held[theirs] > share);
        take_out(victim);
        put_last(newcomer, 0)
     fi
  :: else -> put_last(newcomer, 0)
  fi;
  assert(count <= SESSIONS);
  forget()
}

#define pick(n, places) select(n : 0 .. (places) - 1)

// All of them: who comes, whose lane is lost, who resumes, who ends. Nobody has to do anything (`end`).
active proctype guests() {
  byte n;
end:
  do
  :: atomic { pick(n, HOSTILE + DEVICES); d_step { admit(n); n = 0 } }
  :: atomic { count > 0 -> pick(n, SESSIONS);
       if
       :: n < count && !orphan[n] -> d_step { // its lane is lost
            put_last(device[n], 1);
            take_out(n);
            n = 0
          }
       :: n < count && orphan[n] -> d_step { orphan[n] = 0; n = 0 } // it resumes
       :: n < count -> d_step { take_out(n); n = 0 }
       :: else -> n = 0
       fi
     }
  od
}
