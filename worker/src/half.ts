// SPDX-License-Identifier: MIT
//
// One half of a pair: its socket, what was sent to it, and which key it has yet to answer. Sends for pair.ts, which
// decides what. State that has to outlive the object's memory is in the socket's attachment; it is written when a mark
// or a key goes out or is answered, never for each message.
import { encodeKey, encodeMark } from "./control";
import type { KeyRotation, SavedRotation } from "./key_rotation";
import { MarkLedger, type SavedLedger } from "./mark_ledger";

export type Role = "client" | "exit";

// What both halves of a pair have together.
export interface Shared {
  room: string; // which has counted the pair
  rotation: KeyRotation;
  stalled: (half: Half) => void; // called when it has echoed no mark for `stallMs`, though one is open
}

export interface Limits {
  windowBytes: number;
  stallMs: number;
}

interface SavedHalf {
  role: Role;
  room: string;
  rotation: SavedRotation;
  ledger: SavedLedger;
  unseenKey: number | null;
}

export class Half {
  other: Half | null = null; // from `paired` on
  private readonly ledger: MarkLedger;
  private unseenKey: number | null = null;
  private stallTimer: ReturnType<typeof setTimeout> | null = null; // while a mark is open

  constructor(
    readonly role: Role,
    readonly socket: WebSocket,
    readonly shared: Shared,
    private readonly limits: Limits,
  ) {
    this.ledger = new MarkLedger(limits.windowBytes);
  }

  // The half whose socket outlived the object, or null for a socket that was closed. The rotation is the same in both
  // halves' attachments, and read from each.
  static restore(socket: WebSocket, shared: Omit<Shared, "room">, limits: Limits): Half | null {
    const saved = socket.deserializeAttachment() as SavedHalf | null;
    if (saved === null) return null;
    shared.rotation.restore(saved.rotation);
    const half = new Half(saved.role, socket, { ...shared, room: saved.room }, limits);
    half.ledger.restore(saved.ledger);
    half.unseenKey = saved.unseenKey;
    half.awaitEcho();
    return half;
  }

  save(): void {
    const saved: SavedHalf = {
      role: this.role,
      room: this.shared.room,
      rotation: this.shared.rotation.save(),
      ledger: this.ledger.save(),
      unseenKey: this.unseenKey,
    };
    this.socket.serializeAttachment(saved);
  }

  // Whether it has answered every key that it was sent.
  get answered(): boolean {
    return this.unseenKey === null;
  }

  // What waits for it in the runtime.
  get heldBytes(): number {
    return this.ledger.held();
  }

  // A peer's message goes to this half. False when it is more than the window behind.
  deliver(message: ArrayBuffer): boolean {
    this.socket.send(message);
    return this.count(message.byteLength);
  }

  // The text counts like a message, or a peer that guesses the answers and never reads could queue keys without end.
  announce(epoch: number, remoteKey: string): boolean {
    const text = encodeKey(epoch, remoteKey);
    this.socket.send(text);
    this.unseenKey = epoch;
    const kept = this.count(text.length);
    this.save();
    return kept;
  }

  // False for what has no place here.
  echoed(id: string): boolean {
    if (!this.ledger.echoed(id)) return false;
    this.stopWaiting();
    this.awaitEcho();
    this.save();
    return true;
  }

  keySeen(epoch: number): boolean {
    if (this.unseenKey !== epoch) return false;
    this.unseenKey = null;
    this.save();
    return true;
  }

  // What still comes on the socket after this is nobody's.
  forget(): void {
    this.other = null;
    this.stopWaiting();
    this.socket.serializeAttachment(null);
  }

  private count(bytes: number): boolean {
    const mark = this.ledger.sent(bytes);
    if (mark !== null) {
      this.socket.send(encodeMark(mark));
      this.save();
      this.awaitEcho();
    }
    return !this.ledger.behind();
  }

  // A receiver that takes nothing would keep what waits for it for ever once its sender is silent, too. The timer runs
  // while a mark is open, so an idle half has none.
  private awaitEcho(): void {
    if (this.stallTimer !== null || !this.ledger.open()) return;
    this.stallTimer = setTimeout(() => this.shared.stalled(this), this.limits.stallMs);
  }

  private stopWaiting(): void {
    if (this.stallTimer !== null) clearTimeout(this.stallTimer);
    this.stallTimer = null;
  }
}
