// SPDX-License-Identifier: MIT
//
// When a pair gets a new Key_remote (PROTOCOL.md, "Key epochs"): after so many bytes or so long, looked at when a
// message passes and never by a timer, so that an idle pair costs nothing. Used by pair.ts. Pure.

export interface SavedRotation {
  epoch: number;
  since: number;
}

export class KeyRotation {
  private bytes = 0;
  private epoch = 0;

  // The pair is in epoch 0 since `since`, in milliseconds.
  constructor(
    private readonly limitBytes: number,
    private readonly limitMs: number,
    private since: number,
  ) {}

  // The pair has got the key of epoch 0 just now.
  begin(now: number): void {
    this.since = now;
  }

  // A message of `bytes` is about to be forwarded. The epoch whose key has to go to both halves before it, when it is
  // time for one and both have `answered` the last; else null. Until they have, records of the epoch before may be on
  // their way, and a receiver keeps the keys of two.
  pass(bytes: number, now: number, answered: boolean): number | null {
    this.bytes += bytes;
    if (!answered || (this.bytes < this.limitBytes && now - this.since < this.limitMs)) return null;
    this.bytes = 0;
    this.since = now;
    return ++this.epoch;
  }

  save(): SavedRotation {
    return { epoch: this.epoch, since: this.since };
  }

  // The count of bytes starts anew: it is not saved for each message.
  restore(saved: SavedRotation): void {
    this.epoch = saved.epoch;
    this.since = saved.since;
  }
}
