// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { encodeBase64url } from "../src/base64url";
import {
  decodeControl,
  encodeChallenge,
  encodeKey,
  encodeKnock,
  encodeMark,
  encodePaired,
  encodeRegistered,
} from "../src/control";

const key = encodeBase64url(new Uint8Array(32).fill(1));
const signature = encodeBase64url(new Uint8Array(64).fill(2));

test("what an end may send", () => {
  expect(decodeControl('{"type":"mark","id":"aZ0-_"}')).toEqual({ type: "mark", id: "aZ0-_" });
  expect(decodeControl(' { "epoch" : 0 , "type" : "key_seen" } ')).toEqual({ type: "key_seen", epoch: 0 });
  expect(decodeControl(`{"type":"key_seen","epoch":${Number.MAX_SAFE_INTEGER}}`)).toEqual({
    type: "key_seen",
    epoch: Number.MAX_SAFE_INTEGER,
  });
  expect(decodeControl(`{"type":"register","room_key":"${key}","signature":"${signature}"}`)).toEqual({
    type: "register",
    roomKey: new Uint8Array(32).fill(1),
    signature: new Uint8Array(64).fill(2),
  });
});

test("what an end gets is JSON of one spelling", () => {
  expect(JSON.parse(encodeChallenge("n"))).toEqual({ type: "challenge", nonce: "n" });
  expect(JSON.parse(encodeRegistered())).toEqual({ type: "registered" });
  expect(JSON.parse(encodeKnock("p"))).toEqual({ type: "knock", pair: "p" });
  expect(JSON.parse(encodePaired("k", 4))).toEqual({
    type: "paired",
    version: 1,
    epoch: 0,
    remote_key: "k",
    window: 4,
  });
  expect(JSON.parse(encodeKey(7, "k"))).toEqual({ type: "key", epoch: 7, remote_key: "k" });
  expect(JSON.parse(encodeMark("m"))).toEqual({ type: "mark", id: "m" });
});

test("unknown members are ignored, nested ones up to a depth", () => {
  expect(decodeControl('{"type":"mark","id":"a","more":[1,{"id":"b","id":"c"}],"x":null}')).toEqual({
    type: "mark",
    id: "a",
  });
  expect(decodeControl('{"type":"mark","id":"a","x":{"b":{"c":{"d":1}}}}')).not.toBeNull();
  expect(decodeControl('{"type":"mark","id":"a","x":{"b":{"c":{"d":{"e":1}}}}}')).toBeNull();
  expect(decodeControl('{"type":"mark","id":"a","x":[[[[[0]]]]]}')).toBeNull();
  expect(decodeControl('{"type":"mark","id":"a","x":"{{{{{{[[[["}')).not.toBeNull();
});

test("a member that stands twice is an error, however it is spelt", () => {
  expect(decodeControl('{"type":"mark","id":"a","id":"a"}')).toBeNull();
  expect(decodeControl('{"type":"mark","id":"a","\\u0069d":"b"}')).toBeNull();
  expect(decodeControl('{"type":"mark","id":"a","x":1,"x":{}}')).toBeNull();
});

test("1,024 bytes and no more, in bytes", () => {
  const padded = (size: number) => {
    const text = '{"type":"mark","id":"a","x":""}';
    return text.replace('""', `"${"x".repeat(size - text.length)}"`);
  };
  expect(decodeControl(padded(1_024))).not.toBeNull();
  expect(decodeControl(padded(1_025))).toBeNull();
  expect(decodeControl(`{"type":"mark","id":"a","x":"${"é".repeat(600)}"}`)).toBeNull();
});

test.each([
  "-1",
  "-0",
  "1.0",
  "1e0",
  "01",
  '"1"',
  "9007199254740992",
  "99999999999999999999",
  "null",
  "true",
  "[]",
  "{}",
  "",
])("not an epoch: %s", (value) => {
  expect(decodeControl(`{"type":"key_seen","epoch":${value}}`)).toBeNull();
});

test.each([
  "",
  "ping",
  "pong",
  "null",
  "1",
  '"mark"',
  "[]",
  "{}",
  '[{"type":"mark","id":"a"}]',
  '{"type":"mark"}',
  '{"type":"mark","id":7}',
  '{"type":"mark","id":""}',
  '{"type":"mark","id":"a b"}',
  `{"type":"mark","id":"${"a".repeat(65)}"}`,
  '{"type":"mark","id":"a"',
  '{"type":"mark","id":"a"}x',
  '{"type":"mark","id":"a",}',
  "{'type':'mark','id':'a'}",
  '{"type":["mark"],"id":"a"}',
  '{"type":"registered"}',
  '{"type":"paired","version":1}',
  '{"type":"toString"}',
  '{"__proto__":{"type":"mark","id":"a"}}',
  `{"type":"register","room_key":"${key}"}`,
  `{"type":"register","room_key":"${key}=","signature":"${signature}"}`,
  `{"type":"register","room_key":"${signature}","signature":"${signature}"}`,
])("nothing that an end may send: %j", (text) => {
  expect(decodeControl(text)).toBeNull();
});
