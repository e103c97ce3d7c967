// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";
import { parseRoute, targetOf } from "../src/route";

const room = "36xoxqxdun2kepbldj6yxtjxektu2cph";
const instance = "oKGio6Slpqc";
const pair = "AAECAwQFBgcICQoLDA0ODw";

test("each row of the table", () => {
  expect(parseRoute("/healthz")).toEqual({ kind: "health" });
  expect(parseRoute(`/v1/rooms/${room}/exit?instance=${instance}`)).toEqual({ kind: "exit", room, instance });
  expect(parseRoute(`/v1/rooms/${room}/client`)).toEqual({ kind: "client", room, instance: null });
  expect(parseRoute(`/v1/rooms/${room}/client?instance=${instance}`)).toEqual({ kind: "client", room, instance });
  expect(parseRoute(`/v1/rooms/${room}/pairs/${pair}`)).toEqual({ kind: "pair", room, pair });
});

test.each([
  "",
  "/",
  "/healthz/",
  "/healthz?",
  "//healthz",
  "/HEALTHZ",
  `/v1/rooms/${room}`,
  `/v1/rooms/${room}/`,
  `/v1/rooms/${room}/client/`,
  `/v1/rooms/${room}/client?`,
  `/v1/rooms/${room}/client?instance=`,
  `/v1/rooms/${room}/client?instance=${instance}&a=b`,
  `/v1/rooms/${room}/client?a=b&instance=${instance}`,
  `/v1/rooms/${room}/client?instance=${instance}=`,
  `/v1/rooms/${room}/client?instance=oKGio6Slpqd`,
  `/v1/rooms/${room}/cl%69ent`,
  `/v1/rooms/${room}/exit`,
  `/v1/rooms/${room}/pairs/`,
  `/v1/rooms/${room}/pairs/${pair}A`,
  `/v1/rooms/${room}/pairs/${pair.slice(1)}`,
  `/v1/rooms/${room.toUpperCase()}/client`,
  `/v1/rooms/${room.slice(1)}1/client`,
  `/v1/rooms/${room.slice(1)}/client`,
  `/v1/rooms/../v1/rooms/${room}/client`,
  `/v1/rooms/${room}\n/client`,
])("no other spelling: %j", (target) => {
  expect(parseRoute(target)).toBeNull();
});

test("the target of a URL, as it was sent", () => {
  expect(targetOf("https://relay.example/a/../b?c%41=/d")).toBe("/a/../b?c%41=/d");
  expect(targetOf("http://127.0.0.1:8080/healthz")).toBe("/healthz");
  expect(targetOf("http://[::1]:8080//healthz")).toBe("//healthz");
  expect(targetOf("http://relay.example")).toBe("/");
});
