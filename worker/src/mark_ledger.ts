// SPDX-License-Identifier: MIT
//
// How far a receiver is behind (PROTOCOL.md, "Pairing"): a mark follows every 256 KiB, and what was sent since the
// oldest mark that was not echoed must stay within the window. A Worker's WebSocket has no backpressure, so this alone
// bounds what the runtime holds for a receiver. One for each half, used by half.ts. Pure.
import { randomName } from "./names";

export const MARK_EVERY_BYTES = 256 * 1_024;
const MARK_ID_BYTES = 9;

// Survives hibernation in the socket's attachment. Positions are bytes since the pair began.
export interface SavedLedger {
  sent: number;
  marks: [id: string, position: number][];
}

export class MarkLedger {
  private sentBytes = 0;
  private nextMark = MARK_EVERY_BYTES;
  private marks: [id: string, position: number][] = [];

  constructor(private readonly windowBytes: number) {}

  // `bytes` more went to the receiver. The id of a mark that has to follow them, or null.
  sent(bytes: number): string | null {
    this.sentBytes += bytes;
    if (this.sentBytes < this.nextMark) return null;
    this.nextMark = this.sentBytes + MARK_EVERY_BYTES;
    // Random, so that an echo proves that the mark was read.
    const id = randomName(MARK_ID_BYTES);
    this.marks.push([id, this.sentBytes]);
    return id;
  }

  // The receiver echoed `id`; false when no such mark is waited for.
  echoed(id: string): boolean {
    const index = this.marks.findIndex((mark) => mark[0] === id);
    if (index < 0) return false;
    this.marks.splice(index, 1);
    return true;
  }

  // What the receiver may not have yet, as far as marks tell.
  held(): number {
    const oldest = this.marks[0];
    return oldest === undefined ? 0 : this.sentBytes - oldest[1] + MARK_EVERY_BYTES;
  }

  // Whether a mark is waited for.
  open(): boolean {
    return this.marks.length > 0;
  }

  // More than the window behind the oldest mark not echoed.
  behind(): boolean {
    const oldest = this.marks[0];
    return oldest !== undefined && this.sentBytes - oldest[1] > this.windowBytes;
  }

  // Taken when a mark is sent or echoed; what was sent since is not in it.
  save(): SavedLedger {
    return { sent: this.sentBytes, marks: this.marks };
  }

  // Up to 256 KiB went out since it was saved. They are counted as sent, so that a sender who always waits for the
  // hibernation can't fill the receiver's queue with messages that no mark follows.
  restore(saved: SavedLedger): void {
    this.sentBytes = saved.sent + MARK_EVERY_BYTES;
    this.nextMark = this.sentBytes;
    this.marks = saved.marks;
  }
}
