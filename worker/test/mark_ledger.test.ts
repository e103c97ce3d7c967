// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { MARK_EVERY_BYTES, MarkLedger } from "../src/mark_ledger";

const WINDOW = 4 * MARK_EVERY_BYTES;

function sentMark(ledger: MarkLedger, bytes = MARK_EVERY_BYTES): string {
  const mark = ledger.sent(bytes);
  if (mark === null) throw new Error("no mark");
  return mark;
}

test("a mark after every 256 KiB", () => {
  const ledger = new MarkLedger(WINDOW);
  expect(ledger.sent(MARK_EVERY_BYTES - 1)).toBeNull();
  const first = sentMark(ledger, 1);
  expect(ledger.sent(MARK_EVERY_BYTES - 1)).toBeNull();
  const second = sentMark(ledger, 1);
  expect(first).toMatch(/^[A-Za-z0-9_-]{12}$/);
  expect(second).not.toBe(first);
});

test("what is held begins with the oldest mark that was not echoed", () => {
  const ledger = new MarkLedger(WINDOW);
  ledger.sent(MARK_EVERY_BYTES - 1);
  expect(ledger.held()).toBe(0); // nothing tells
  const first = sentMark(ledger, 1);
  expect(ledger.held()).toBe(MARK_EVERY_BYTES);
  const second = sentMark(ledger);
  expect(ledger.held()).toBe(2 * MARK_EVERY_BYTES);
  ledger.echoed(first);
  expect(ledger.held()).toBe(MARK_EVERY_BYTES);
  ledger.echoed(second);
  expect(ledger.held()).toBe(0);
});

test("behind is more than the window after the oldest mark that was not echoed", () => {
  const ledger = new MarkLedger(WINDOW);
  ledger.sent(MARK_EVERY_BYTES - 1);
  expect(ledger.behind()).toBe(false); // no mark yet
  const first = sentMark(ledger, 1);
  const second = sentMark(ledger);
  ledger.sent(WINDOW - MARK_EVERY_BYTES);
  expect(ledger.behind()).toBe(false);
  ledger.sent(1);
  expect(ledger.behind()).toBe(true);
  expect(ledger.echoed(first)).toBe(true);
  expect(ledger.behind()).toBe(false);
  expect(ledger.echoed(first)).toBe(false); // an echo counts once
  expect(ledger.echoed("AAAAAAAAAAAA")).toBe(false);
  expect(ledger.echoed(second)).toBe(true);
});

test("what was sent unseen before a hibernation counts, so that hibernating is no way round the window", () => {
  let ledger = new MarkLedger(WINDOW);
  sentMark(ledger);
  let rounds = 0;
  while (!ledger.behind()) {
    const saved = structuredClone(ledger.save());
    ledger.sent(MARK_EVERY_BYTES - 1); // not in what was saved
    ledger = new MarkLedger(WINDOW);
    ledger.restore(saved);
    sentMark(ledger, 1); // the first message has a mark behind it
    expect(++rounds).toBeLessThanOrEqual(5);
  }
});

test("an echo that comes after a hibernation", () => {
  const before = new MarkLedger(WINDOW);
  const mark = sentMark(before);
  const after = new MarkLedger(WINDOW);
  after.restore(structuredClone(before.save()));
  expect(after.echoed(mark)).toBe(true);
  expect(after.echoed(mark)).toBe(false);
});
