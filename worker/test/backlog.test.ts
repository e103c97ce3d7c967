// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { Backlog } from "../src/backlog";

test("nobody gives way while all hold no more than they may", () => {
  const backlog = new Backlog();
  expect(backlog.set("a", 60, 100)).toBeNull();
  expect(backlog.set("b", 40, 100)).toBeNull();
  expect(backlog.set("b", 20, 100)).toBeNull();
  expect(backlog.set("c", 20, 100)).toBeNull();
});

test("the pair that holds most gives way, whoever came last, then the next", () => {
  const backlog = new Backlog();
  backlog.set("a", 60, 100);
  backlog.set("b", 39, 100);
  expect(backlog.set("c", 2, 100)).toBe("a");
  expect(backlog.set("a", 0, 100)).toBeNull();
  expect(backlog.set("c", 62, 100)).toBe("c");
  expect(backlog.set("c", 0, 38)).toBe("b");
  expect(backlog.set("b", 0, 38)).toBeNull();
});

test("what was taken counts no more", () => {
  const backlog = new Backlog();
  for (let i = 0; i < 1_000; i++) {
    expect(backlog.set(`${i}`, 100, 100)).toBeNull();
    expect(backlog.set(`${i}`, 0, 100)).toBeNull();
  }
});
