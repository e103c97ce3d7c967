// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { JoinLimiter } from "../src/join_limiter";
import { sourceOf } from "../src/source";

test("a rate a second and a burst of twenty seconds, for each source", () => {
  const joins = new JoinLimiter(2);
  for (let i = 0; i < 40; i++) expect(joins.admit("a", 0)).toBe(true);
  expect(joins.admit("a", 0)).toBe(false);
  expect(joins.admit("b", 0)).toBe(true);
  expect(joins.admit("a", 499)).toBe(false);
  expect(joins.admit("a", 500)).toBe(true);
  expect(joins.admit("a", 500)).toBe(false);
});

test("at least one join, and no limit at 0", () => {
  const slow = new JoinLimiter(0.01);
  expect(slow.admit("a", 0)).toBe(true);
  expect(slow.admit("a", 1)).toBe(false);
  const free = new JoinLimiter(0);
  for (let i = 0; i < 1_000; i++) expect(free.admit("a", 0)).toBe(true);
});

test("a full table forgets who asked longest ago, and no two sources share a bucket", () => {
  const joins = new JoinLimiter(1, 3);
  const exhaust = (source: string) => {
    for (let i = 0; i < 20; i++) expect(joins.admit(source, 0)).toBe(true);
    expect(joins.admit(source, 0)).toBe(false);
  };
  for (const source of ["a", "b", "c"]) exhaust(source);
  expect(joins.admit("a", 0)).toBe(false); // and is remembered anew
  for (const source of ["d", "e"]) exhaust(source);
  expect(joins.admit("a", 0)).toBe(false);
  expect(joins.admit("b", 0)).toBe(true); // forgotten
});

test("many sources take nothing from one that comes later", () => {
  const joins = new JoinLimiter(1, 100);
  for (let i = 0; i < 10_000; i++) joins.admit(`stranger ${i}`, 0);
  for (let i = 0; i < 20; i++) expect(joins.admit("honest", 0)).toBe(true);
});

test("a clock that went forward for a moment holds nobody for as long", () => {
  const joins = new JoinLimiter(1);
  for (let i = 0; i < 20; i++) expect(joins.admit("a", 31_536_000_000)).toBe(true);
  expect(joins.admit("a", 1_000)).toBe(false);
  expect(joins.admit("a", 2_000)).toBe(true);
  expect(joins.admit("a", 2_000)).toBe(false);
});

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["192.0.2.1:40000", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"],
  ["2001:DB8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["::ffff:c000:201", "192.0.2.1"],
  ["", ""],
])("the source of %s", (address, source) => {
  expect(sourceOf(address)).toBe(source);
});

test.each(["1::2::3", ":::", "1:2:3", "g::1", "1:2:3:4:5:6:7:8:9", "x".repeat(5_000)])("no address: %s", (text) => {
  expect(sourceOf(text).length).toBeLessThanOrEqual(64);
  expect(sourceOf(text)).not.toContain("/64");
});
