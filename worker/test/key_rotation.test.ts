// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { KeyRotation } from "../src/key_rotation";

test("by bytes of both directions", () => {
  const rotation = new KeyRotation(100, 1_000, 0);
  expect(rotation.pass(99, 1, true)).toBeNull();
  expect(rotation.pass(1, 1, true)).toBe(1);
  expect(rotation.pass(99, 1, true)).toBeNull();
  expect(rotation.pass(1, 1, true)).toBe(2);
});

test("by time, when a message passes", () => {
  const rotation = new KeyRotation(1_000, 100, 0);
  rotation.begin(50);
  expect(rotation.pass(1, 149, true)).toBeNull();
  expect(rotation.pass(1, 150, true)).toBe(1);
  expect(rotation.pass(1, 249, true)).toBeNull();
  expect(rotation.pass(1, 1_000, true)).toBe(2);
});

test("not before both halves have answered the last", () => {
  const rotation = new KeyRotation(100, 1_000, 0);
  expect(rotation.pass(100, 0, true)).toBe(1);
  expect(rotation.pass(500, 5_000, false)).toBeNull();
  expect(rotation.pass(0, 5_000, true)).toBe(2);
});

test("goes on after a hibernation", () => {
  const before = new KeyRotation(100, 1_000, 0);
  before.pass(100, 10, true);
  const after = new KeyRotation(100, 1_000, 500);
  after.restore(structuredClone(before.save()));
  expect(after.pass(1, 1_009, true)).toBeNull();
  expect(after.pass(1, 1_010, true)).toBe(2);
});
