// SPDX-License-Identifier: MIT
//
// The ids of pairs (PROTOCOL.md, "Names and keys"). To the ends an id is 16 random bytes. Here it carries a tag, so that
// index.ts knows the ids that this deployment gave out, and a stranger's made-up one costs no object:
//
//   slot (1) ‖ random (7) ‖ the first 8 bytes of HMAC-SHA256(key, room "/" slot "/" random)
//
// The slot is the time when it was given out, so that ids can't be collected and used all at once later. Its low byte
// stands in the id, the tag covers the whole of it. The key is pair_key.ts's.
import { decodeBase64url, encodeBase64url } from "./base64url";

const ID_BYTES = 16;
const RANDOM_BYTES = 7;
const TAG_BYTES = 8;
// Longer than a client waits for its exit, so an id that is used in time is of this slot or the one before.
const SLOT_MS = 15_000;

export class PairIds {
  private constructor(private readonly key: CryptoKey) {}

  static async withKey(key: ArrayBuffer): Promise<PairIds> {
    return new PairIds(await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]));
  }

  async issue(room: string, now: number): Promise<string> {
    const slot = slotOf(now);
    const random = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES));
    const id = new Uint8Array(ID_BYTES);
    id[0] = slot & 255;
    id.set(random, 1);
    id.set(await this.tag(room, slot, random), 1 + RANDOM_BYTES);
    return encodeBase64url(id);
  }

  // Whether issue() gave out `pair` for this room not long ago.
  async issued(room: string, pair: string, now: number): Promise<boolean> {
    const id = decodeBase64url(pair, ID_BYTES);
    if (id === null) return false;
    // One slot ahead: the clock of the machine that gave it out may be.
    const latest = slotOf(now) + 1;
    const age = (latest - (id[0] ?? 0)) & 255;
    if (age > 2) return false;
    const tag = await this.tag(room, latest - age, id.subarray(1, 1 + RANDOM_BYTES));
    return same(tag, id.subarray(1 + RANDOM_BYTES));
  }

  private async tag(room: string, slot: number, random: Uint8Array): Promise<Uint8Array> {
    const text = new TextEncoder().encode(`${room}/${slot}/${encodeBase64url(random)}`);
    return new Uint8Array(await crypto.subtle.sign("HMAC", this.key, text)).subarray(0, TAG_BYTES);
  }
}

function slotOf(now: number): number {
  return Math.floor(now / SLOT_MS);
}

// Takes as long wherever they differ: a tag can't be found out byte by byte.
function same(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}
