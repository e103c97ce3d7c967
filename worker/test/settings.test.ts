// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { answerTo, passedOn } from "../src/close_codes";
import { isOwnName } from "../src/own_names";
import { readSettings, type Vars } from "../src/settings";

test("without variables, and with empty ones", () => {
  const usual = readSettings({});
  expect(usual).toMatchObject({
    allowRooms: null,
    debugCounters: false,
    idleMs: 75_000,
    joinRate: 20,
    sourceHeader: "X-Forwarded-For",
    trustedProxies: [],
  });
  expect(usual).toMatchObject({
    maxHeldBytes: 2 ** 26,
    maxPairsPerRoom: 1_000,
    maxPairsPerSource: 1_000,
    rotateBytes: 2 ** 30,
    rotateMs: 600_000,
    stallMs: 120_000,
    windowBytes: 2 ** 22,
  });
  expect(usual.relayNames).toEqual(["localhost", "127.0.0.1", "::1"]);
  expect(readSettings({ ALLOW_ROOMS: "", JOIN_RATE: "", RELAY_NAMES: null, WINDOW_BYTES: null })).toEqual(usual);
});

test("with variables", () => {
  const settings = readSettings({ ALLOW_ROOMS: " a\nb ", JOIN_RATE: "0.5", RELAY_NAMES: "Relay.example ::1" });
  expect(settings.allowRooms).toEqual(new Set(["a", "b"]));
  expect(settings.joinRate).toBe(0.5);
  expect(settings.relayNames).toEqual(["relay.example", "::1"]);
});

const wrong: Vars[] = [
  { ROTATE_BYTES: "65535" },
  { ROTATE_BYTES: "1e9" },
  { ROTATE_BYTES: "70000.5" },
  { ROTATE_SECONDS: "29" },
  { WINDOW_BYTES: "1" },
  { JOIN_RATE: "-1" },
  { JOIN_RATE: "x" },
  { MAX_PAIRS_PER_ROOM: "0" },
  { MAX_PAIRS_PER_SOURCE: "0" },
  { IDLE_SECONDS: "0" },
  { MAX_HELD_BYTES: "1000" },
  { WRITE_SECONDS: "0" },
  { SOURCE_HEADER: "CF-Connecting-IP" }, // from anybody
  { TRUSTED_PROXIES: "10.0.0.0/33" },
  { TRUSTED_PROXIES: "proxy.example" },
];
test.each(wrong)("a wrong variable: %j", (vars) => {
  expect(() => readSettings(vars)).toThrow(Object.keys(vars)[0]);
});

test("the proxies that may name a client", () => {
  expect(readSettings({ TRUSTED_PROXIES: "*", SOURCE_HEADER: "CF-Connecting-IP" }).trustedProxies).toBe("platform");
  expect(readSettings({ TRUSTED_PROXIES: "127.0.0.1 ::1" }).trustedProxies).toHaveLength(2);
});

test("own names, whatever the port and the case", () => {
  const names = ["relay.example", "127.0.0.1", "::1"];
  for (const own of ["relay.example", "Relay.Example:8443", "127.0.0.1:1", "[::1]", "[::1]:443"]) {
    expect(isOwnName(own, names)).toBe(true);
  }
  for (const other of [
    "",
    "other.example",
    "relay.example.",
    "relay.example:",
    "relay.example:123456",
    "::1",
    "[::1",
    "a@relay.example",
    "relay.example/",
    "relay.example:1:2",
  ]) {
    expect(isOwnName(other, names)).toBe(false);
  }
  expect(isOwnName("other.example", ["*"])).toBe(true);
  expect(isOwnName("*", names)).toBe(false);
  expect(isOwnName("a".repeat(261), ["*"])).toBe(false);
});

test("codes that mean something to the other peer pass, the others become 4000", () => {
  for (const code of [1000, 1001, 4403]) expect(passedOn(code)).toBe(code);
  for (const code of [0, 1002, 1005, 1006, 1012, 3000, 4000, 4404, 4409, 4413, 4999]) expect(passedOn(code)).toBe(4000);
});

test("a close is never answered with a code that must not be sent", () => {
  for (const code of [1000, 1001, 1003, 1007, 1011, 3000, 4413, 4999]) expect(answerTo(code)).toBe(code);
  for (const code of [0, 999, 1004, 1005, 1006, 1012, 1015, 1016, 2999, 5000]) expect(answerTo(code)).toBe(1000);
});
