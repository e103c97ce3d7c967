// SPDX-License-Identifier: MIT
//
// The example of PROTOCOL.md, "Registration", and every byte of it altered.
import { expect, test } from "vitest";
import { decodeBase64url } from "../src/base64url";
import { decodeRoom, encodeRoom } from "../src/names";
import { ownsRoom, roomOf, signedMessage } from "../src/registration";

const claim = {
  room: "36xoxqxdun2kepbldj6yxtjxektu2cph",
  instance: "oKGio6Slpqc",
  authority: "relay.example",
  nonce: "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8",
};
const roomKey = decodeBase64url("A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg", 32) as Uint8Array;
const signature = decodeBase64url(
  "XExI3VWAEDAiR5SJYtlBufisyZw5ZkVjs4eEreACg0-pQQx3Xyiocc70-w-nSPSPCaF2ZMgsASnEwwtzmMoKDg",
  64,
) as Uint8Array;

function altered(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

test("room ids", async () => {
  expect(await roomOf(roomKey)).toBe(claim.room);
  expect(Buffer.from(decodeRoom(claim.room)).toString("hex")).toBe("dfaeebc2e3a374a23c2b1a7d8bcd3722a74d09e7");
  expect(encodeRoom(decodeRoom(claim.room))).toBe(claim.room);
});

test("what is signed", async () => {
  expect(Buffer.from(await signedMessage(claim)).toString("hex")).toBe(
    "7a6b732f31207265676973746572808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f" +
      "683506b864e77f115863d43389b08ae977c5403170b201b9ae5db050cb2dd02d" +
      "dfaeebc2e3a374a23c2b1a7d8bcd3722a74d09e7a0a1a2a3a4a5a6a7",
  );
});

test("the owner is let in, and nobody else", async () => {
  expect(await ownsRoom(claim, roomKey, signature)).toBe(true);
  for (let i = 0; i < 32; i++) expect(await ownsRoom(claim, altered(roomKey, i), signature)).toBe(false);
  for (let i = 0; i < 64; i++) expect(await ownsRoom(claim, roomKey, altered(signature, i))).toBe(false);
  for (const other of [
    { authority: "relay.example:443" },
    { authority: "Relay.example" },
    { instance: "AAAAAAAAAAA" },
    { nonce: "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnpo" },
    { room: "46xoxqxdun2kepbldj6yxtjxektu2cph" },
  ]) {
    expect(await ownsRoom({ ...claim, ...other }, roomKey, signature)).toBe(false);
  }
});
