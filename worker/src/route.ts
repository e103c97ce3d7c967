// SPDX-License-Identifier: MIT
//
// What a request's target asks for (PROTOCOL.md, "Requests"). Strict: a target has one spelling, everything else is
// answered 404. The Worker's first step; index.ts goes on with what comes out. Pure.
import { isInstance, isPair, isRoom, ROOM_CHARACTERS } from "./names";

export type Route =
  | { kind: "health" }
  | { kind: "counters" }
  | { kind: "exit"; room: string; instance: string }
  | { kind: "client"; room: string; instance: string | null }
  | { kind: "pair"; room: string; pair: string };

const ROOMS = "/v1/rooms/";
const EXIT = "/exit?instance=";
const CLIENT = "/client";
const CLIENT_OF = "/client?instance=";
const PAIRS = "/pairs/";

// The target of a request's URL as it was sent. It is cut out by hand, because a URL object would give several
// spellings the same path.
export function targetOf(url: string): string {
  const slash = url.indexOf("/", url.indexOf("://") + 3);
  return slash < 0 ? "/" : url.slice(slash);
}

export function parseRoute(target: string): Route | null {
  if (target === "/healthz") return { kind: "health" };
  if (target === "/debug/counters") return { kind: "counters" };
  if (!target.startsWith(ROOMS)) return null;
  const room = target.slice(ROOMS.length, ROOMS.length + ROOM_CHARACTERS);
  if (!isRoom(room)) return null;
  const rest = target.slice(ROOMS.length + ROOM_CHARACTERS);
  if (rest === CLIENT) return { kind: "client", room, instance: null };
  if (rest.startsWith(EXIT)) {
    const instance = rest.slice(EXIT.length);
    return isInstance(instance) ? { kind: "exit", room, instance } : null;
  }
  if (rest.startsWith(CLIENT_OF)) {
    const instance = rest.slice(CLIENT_OF.length);
    return isInstance(instance) ? { kind: "client", room, instance } : null;
  }
  if (rest.startsWith(PAIRS)) {
    const pair = rest.slice(PAIRS.length);
    return isPair(pair) ? { kind: "pair", room, pair } : null;
  }
  return null;
}
