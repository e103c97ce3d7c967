// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { Shares } from "../src/shares";

const NO_SHARE = 1_000;

test("places are taken and given back", () => {
  const shares = new Shares();
  const limits = { most: 2, ofSource: NO_SHARE };
  expect(shares.take("1", "a", limits)).toEqual({ givesWay: null });
  expect(shares.take("2", "a", limits)).toEqual({ givesWay: null });
  expect(shares.take("3", "a", limits)).toBeNull();
  expect(shares.release("1")).toBe(true);
  expect(shares.release("1")).toBe(false);
  expect(shares.take("3", "a", limits)).toEqual({ givesWay: null });
  expect(shares.count("a")).toBe(2);
});

test("a source has its share, and no other one less for it", () => {
  const shares = new Shares();
  const limits = { most: 10, ofSource: 2 };
  for (const place of ["1", "2"]) expect(shares.take(place, "a", limits)).not.toBeNull();
  expect(shares.take("3", "a", limits)).toBeNull();
  expect(shares.take("3", "b", limits)).toEqual({ givesWay: null });
  shares.release("1");
  expect(shares.take("4", "a", limits)).toEqual({ givesWay: null });
});

test("whoever has most gives way, its newest first, until all have as many", () => {
  const shares = new Shares();
  const limits = { most: 4, ofSource: NO_SHARE };
  for (const place of ["1", "2", "3", "4"]) shares.take(place, "a", limits);
  expect(shares.take("5", "b", limits)).toEqual({ givesWay: "4" });
  expect(shares.take("6", "c", limits)).toEqual({ givesWay: "3" });
  expect(shares.take("7", "d", limits)).toEqual({ givesWay: "2" });
  for (const source of ["a", "b", "c", "d", "e"]) expect(shares.take("8", source, limits)).toBeNull();
  expect(shares.entries()).toEqual([
    ["1", "a"],
    ["5", "b"],
    ["6", "c"],
    ["7", "d"],
  ]);
});

test("one source that comes again and again takes nothing from those who have less", () => {
  const shares = new Shares();
  const limits = { most: 10, ofSource: NO_SHARE };
  shares.take("honest", "b", limits);
  for (let i = 0; i < 100; i++) shares.take(`${i}`, "a", limits);
  expect(shares.release("honest")).toBe(true);
  expect(shares.count("a")).toBe(9);
});

test("what was taken before counts, in its order", () => {
  const before: [string, string][] = [
    ["1", "a"],
    ["2", "a"],
    ["3", "a"],
  ];
  const shares = new Shares(before);
  expect(shares.oldest()).toBe("1");
  expect(shares.take("4", "b", { most: 3, ofSource: NO_SHARE })).toEqual({ givesWay: "3" });
  expect(new Shares().oldest()).toBeNull();
});
