// SPDX-License-Identifier: MIT
//
// Whether an exit owns the room that it wants to be reached in (PROTOCOL.md, "Registration"): its key hashes to the
// room's id, and its signature covers this relay's challenge and name, the room and the instance. Used by room.ts.
import { decodeBase64url } from "./base64url";
import { decodeRoom, encodeRoom } from "./names";

export interface Claim {
  room: string;
  instance: string;
  authority: string; // the Host header, byte for byte
  nonce: string;
}

export async function ownsRoom(claim: Claim, roomKey: Uint8Array, signature: Uint8Array): Promise<boolean> {
  if ((await roomOf(roomKey)) !== claim.room) return false;
  const message = await signedMessage(claim);
  try {
    const key = await crypto.subtle.importKey("raw", roomKey, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
  } catch {
    return false; // 32 bytes that are no point of the curve
  }
}

// room id = the first 20 bytes of SHA-256("zks/1 room" ‖ room public key)
export async function roomOf(roomKey: Uint8Array): Promise<string> {
  return encodeRoom(await sha256(join([ascii("zks/1 room"), roomKey])));
}

// "zks/1 register" ‖ nonce (32) ‖ SHA-256(authority) (32) ‖ room id (20) ‖ instance (8)
export async function signedMessage(claim: Claim): Promise<Uint8Array<ArrayBuffer>> {
  return join([
    ascii("zks/1 register"),
    decodeBase64url(claim.nonce, 32) ?? new Uint8Array(0),
    await sha256(ascii(claim.authority)),
    decodeRoom(claim.room),
    decodeBase64url(claim.instance, 8) ?? new Uint8Array(0),
  ]);
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function ascii(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function join(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
