// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { decodeBase64url, encodeBase64url } from "../src/base64url";

test("every length goes there and back", () => {
  for (let size = 0; size < 70; size++) {
    const bytes = crypto.getRandomValues(new Uint8Array(size));
    const text = encodeBase64url(bytes);
    expect(text).toBe(Buffer.from(bytes).toString("base64url"));
    expect(decodeBase64url(text, size)).toEqual(bytes);
  }
});

test("one spelling each", () => {
  expect(decodeBase64url("oKGio6Slpqc", 8)).not.toBeNull();
  for (const other of [
    "oKGio6Slpqc=",
    "oKGio6Slpqd",
    "oKGio6Slpq",
    "oKGio6Slpqc ",
    "oKGio6Slp+c",
    "oKGio6Slp/c",
    "oKGio6SlpqcA",
    "",
  ]) {
    expect(decodeBase64url(other, 8)).toBeNull();
  }
});

test("characters beyond the alphabet, by code unit and by code point", () => {
  expect(decodeBase64url("oKGio6Slpq\u0106", 8)).toBeNull();
  expect(decodeBase64url("oKGio6Slp\u{1f600}", 8)).toBeNull();
});
