// SPDX-License-Identifier: MIT
//
// The names of PROTOCOL.md, "Names and keys", as they stand in a request's target. They stay text here: a name with
// one spelling needs no decoding to be compared. Pure.
import { decodeBase64url, encodeBase64url } from "./base64url";

export const ROOM_CHARACTERS = 32;
export const ROOM_BYTES = 20;
const INSTANCE_BYTES = 8;
const PAIR_BYTES = 16;
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

export function isRoom(text: string): boolean {
  return /^[a-z2-7]{32}$/.test(text);
}

export function isInstance(text: string): boolean {
  return decodeBase64url(text, INSTANCE_BYTES) !== null;
}

export function isPair(text: string): boolean {
  return decodeBase64url(text, PAIR_BYTES) !== null;
}

export function randomName(bytes: number): string {
  return encodeBase64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

// The text of a room id: base32, 160 bits are 32 digits without a rest.
export function encodeRoom(id: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const byte of id.subarray(0, ROOM_BYTES)) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return text;
}

// The 20 bytes of a room id that isRoom() accepted.
export function decodeRoom(text: string): Uint8Array {
  const id = new Uint8Array(ROOM_BYTES);
  let held = 0;
  let bits = 0;
  let written = 0;
  for (const character of text) {
    held = (held << 5) | BASE32.indexOf(character);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      id[written++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return id;
}
