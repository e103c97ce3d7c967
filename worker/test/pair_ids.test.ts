// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { decodeBase64url, encodeBase64url } from "../src/base64url";
import { isPair } from "../src/names";
import { PairIds } from "../src/pair_ids";

const room = "36xoxqxdun2kepbldj6yxtjxektu2cph";
const now = 1_795_000_005_000;
const key = (fill: number) => new Uint8Array(32).fill(fill).buffer;

test("an id that was given out is known, and looks like any other", async () => {
  const ids = await PairIds.withKey(key(1));
  const pair = await ids.issue(room, now);
  expect(isPair(pair)).toBe(true);
  expect(await ids.issued(room, pair, now)).toBe(true);
  expect(await (await PairIds.withKey(key(1))).issued(room, pair, now)).toBe(true); // another isolate
  expect(await ids.issue(room, now)).not.toBe(pair);
});

test("no bit of it can be changed, and no other room or deployment has it", async () => {
  const ids = await PairIds.withKey(key(1));
  const id = decodeBase64url(await ids.issue(room, now), 16) as Uint8Array;
  for (let bit = 0; bit < 128; bit++) {
    const other = id.slice();
    other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(await ids.issued(room, encodeBase64url(other), now)).toBe(false);
  }
  const pair = encodeBase64url(id);
  expect(await ids.issued(`4${room.slice(1)}`, pair, now)).toBe(false);
  expect(await (await PairIds.withKey(key(2))).issued(room, pair, now)).toBe(false);
});

test.each(["", "A", "A".repeat(22), `${"A".repeat(21)}B`, "A".repeat(23), "!".repeat(22)])(
  "made up: %j",
  async (pair) => {
    const ids = await PairIds.withKey(key(1));
    // At every slot that its first byte may stand for.
    for (let slot = 0; slot < 256; slot++) expect(await ids.issued(room, pair, now + slot * 15_000)).toBe(false);
  },
);

test("it is known for as long as a client waits, and not for ever", async () => {
  const ids = await PairIds.withKey(key(1));
  for (const issuedAt of [now, now + 14_999, now + 9_000]) {
    const pair = await ids.issue(room, issuedAt);
    for (const age of [-1_000, 0, 1_000, 10_000, 14_999])
      expect(await ids.issued(room, pair, issuedAt + age)).toBe(true);
    // Nor when the byte that tells the slot has gone round.
    for (const age of [45_000, 60_000, 3_600_000, 255 * 15_000, 256 * 15_000, 257 * 15_000, 86_400_000]) {
      expect(await ids.issued(room, pair, issuedAt + age)).toBe(false);
    }
  }
});
