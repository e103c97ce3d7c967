// SPDX-License-Identifier: MIT
//
// What an operator may set, from the Worker's variables (wrangler.jsonc, or the environment of a self-hosted workerd;
// docs/guide/worker.md lists them). A variable that can't be read fails every request: a relay with another
// limit than its operator asked for would be worse. Pure.
import { type Network, parseNetwork } from "./address";
import type { Proxies } from "./client_address";

type Variable = string | null | undefined;

export interface Vars {
  ALLOW_ROOMS?: Variable;
  DEBUG_COUNTERS?: Variable;
  IDLE_SECONDS?: Variable;
  JOIN_RATE?: Variable;
  MAX_HELD_BYTES?: Variable;
  MAX_PAIRS_PER_ROOM?: Variable;
  MAX_PAIRS_PER_SOURCE?: Variable;
  RELAY_NAMES?: Variable;
  ROOM_STATE?: Variable;
  ROTATE_BYTES?: Variable;
  ROTATE_SECONDS?: Variable;
  SOURCE_HEADER?: Variable;
  TRUSTED_PROXIES?: Variable;
  WINDOW_BYTES?: Variable;
  WRITE_SECONDS?: Variable;
}

export interface Settings {
  allowRooms: ReadonlySet<string> | null; // null: every room
  debugCounters: boolean;
  idleMs: number;
  joinRate: number; // a second and source; 0: no limit
  maxHeldBytes: number; // in an isolate
  maxPairsPerRoom: number;
  maxPairsPerSource: number; // in an isolate; and registered exits, as many again
  relayNames: readonly string[]; // in lower case, without ports
  roomState: "isolate" | "storage"; // see room_store.ts
  rotateBytes: number;
  rotateMs: number;
  sourceHeader: string; // of the proxies
  trustedProxies: Proxies; // none: the TCP peer's address counts
  windowBytes: number;
  stallMs: number; // a receiver may take for 256 KiB
}

// In TRUSTED_PROXIES: for a platform that hands over only requests that came through it, and sets the header itself.
const PLATFORM = "*";
// Without any name set, exits may register under the names of loopback only.
const LOOPBACK_NAMES = "localhost 127.0.0.1 ::1";

export function readSettings(vars: Vars): Settings {
  const allowed = words(vars.ALLOW_ROOMS);
  return {
    allowRooms: allowed.length > 0 ? new Set(allowed) : null,
    debugCounters: vars.DEBUG_COUNTERS === "1",
    idleMs: 1_000 * number("IDLE_SECONDS", vars.IDLE_SECONDS, 75, 1, 86_400),
    joinRate: number("JOIN_RATE", vars.JOIN_RATE, 20, 0, 1e6),
    // Half of what Cloudflare gives an isolate.
    maxHeldBytes: integer("MAX_HELD_BYTES", vars.MAX_HELD_BYTES, 64 * 2 ** 20, 2 ** 20, Number.MAX_SAFE_INTEGER),
    maxPairsPerRoom: integer("MAX_PAIRS_PER_ROOM", vars.MAX_PAIRS_PER_ROOM, 1_000, 1, 1e7),
    maxPairsPerSource: integer("MAX_PAIRS_PER_SOURCE", vars.MAX_PAIRS_PER_SOURCE, 1_000, 1, 1e7),
    relayNames: words(vars.RELAY_NAMES || LOOPBACK_NAMES).map((name) => name.toLowerCase()),
    roomState: vars.ROOM_STATE === "isolate" ? "isolate" : "storage",
    // An end takes no key before its handshake is over, which is less than 1 KiB and at most 10 s long.
    rotateBytes: integer("ROTATE_BYTES", vars.ROTATE_BYTES, 2 ** 30, 64 * 1_024, Number.MAX_SAFE_INTEGER),
    rotateMs: 1_000 * integer("ROTATE_SECONDS", vars.ROTATE_SECONDS, 600, 30, 365 * 86_400),
    sourceHeader: vars.SOURCE_HEADER || "X-Forwarded-For",
    trustedProxies: proxies(vars),
    stallMs: 1_000 * number("WRITE_SECONDS", vars.WRITE_SECONDS, 120, 1, 86_400),
    // The ends fill three quarters of it and acknowledge every 256 KiB.
    windowBytes: integer("WINDOW_BYTES", vars.WINDOW_BYTES, 4 * 2 ** 20, 2 ** 20, 64 * 2 ** 20),
  };
}

// A header that anybody may write would let a stranger choose whose joins are counted.
function proxies(vars: Vars): Proxies {
  const listed = words(vars.TRUSTED_PROXIES);
  if (listed.length === 0 && vars.SOURCE_HEADER) throw new Error("SOURCE_HEADER needs TRUSTED_PROXIES");
  if (listed.includes(PLATFORM)) return "platform";
  return listed.map((word): Network => {
    const network = parseNetwork(word);
    if (network === null) throw new Error(`TRUSTED_PROXIES has ${word}, which is no address or block`);
    return network;
  });
}

function words(text: Variable): string[] {
  return (text ?? "").split(/\s+/).filter((word) => word !== "");
}

function number(name: string, text: Variable, usual: number, lowest: number, highest: number): number {
  if (text === undefined || text === null || text === "") return usual;
  const value = /^[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= lowest && value <= highest)) throw new Error(`${name} is not a number from ${lowest} to ${highest}`);
  return value;
}

function integer(name: string, text: Variable, usual: number, lowest: number, highest: number): number {
  const value = number(name, text, usual, lowest, highest);
  if (!Number.isInteger(value)) throw new Error(`${name} is not an integer`);
  return value;
}
