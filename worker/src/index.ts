// SPDX-License-Identifier: MIT
//
// The Worker: where every request comes in. It decides what can be decided before the upgrade (PROTOCOL.md,
// "Requests"), and hands an upgrade to the object that it is for: room.ts for an exit's control socket, pair.ts for
// either half of a pair.
import { version } from "../package.json";
import { counters } from "./counters";
import { encodeInner } from "./inner_request";
import { JoinLimiter } from "./join_limiter";
import { newPair } from "./names";
import { isOwnName } from "./own_names";
import { parseRoute, type Route, targetOf } from "./route";
import { type Env, readSettings, type Settings } from "./settings";
import { sourceOf } from "./source";

export { Pair } from "./pair";
export { Room } from "./room";

const MAX_URL_BYTES = 512;
const MAX_HEADER_BYTES = 8 * 1_024;

// Of this isolate, from its first request on: at the top level no clock runs yet.
interface State {
  settings: Settings;
  joins: JoinLimiter;
  started: number;
}
let state: State | null = null;

function stateOf(env: Env): State {
  if (state === null) {
    const settings = readSettings(env);
    state = { settings, joins: new JoinLimiter(settings.joinRate, Date.now()), started: Date.now() };
  }
  return state;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { settings, joins, started } = stateOf(env);
    const target = targetOf(request.url);
    if (target.length > MAX_URL_BYTES) return refuse(414);
    if (headerBytes(request.headers) > MAX_HEADER_BYTES) return refuse(431);
    const route = request.method === "GET" ? parseRoute(target) : null;
    if (route === null) return refuse(404);
    if (route.kind === "health") return health(started);
    if (route.kind === "counters") return settings.debugCounters ? Response.json(counters) : refuse(404);
    const status = upgradeStatus(request.headers);
    if (status !== 101) return refuse(status);
    if (settings.allowRooms && !settings.allowRooms.has(route.room)) return refuse(403);
    if (route.kind !== "pair" && !joins.admit(sourceOf(addressOf(request, settings)), Date.now())) return refuse(429);
    return handOver(route, request, env, settings);
  },
} satisfies ExportedHandler<Env>;

type Upgrade = Exclude<Route, { kind: "health" | "counters" }>;

async function handOver(route: Upgrade, request: Request, env: Env, settings: Settings): Promise<Response> {
  const { room } = route;
  if (route.kind === "exit") {
    const authority = request.headers.get("Host") ?? "";
    if (!isOwnName(authority, settings.relayNames)) return refuse(421);
    const inner = encodeInner({ kind: "exit", room, instance: route.instance, authority });
    return env.ROOM.get(env.ROOM.idFromName(room)).fetch(inner);
  }
  const pair = route.kind === "pair" ? route.pair : newPair();
  // A pair of another room has another object, so its id means nothing there.
  const object = env.PAIR.get(env.PAIR.idFromName(`${room}/${pair}`));
  if (route.kind === "pair") return object.fetch(encodeInner({ kind: "pair", room, pair }));
  return object.fetch(encodeInner({ kind: "client", room, pair, instance: route.instance }));
}

function upgradeStatus(headers: Headers): number {
  if (headers.get("Upgrade")?.toLowerCase() !== "websocket") return 404;
  if (headers.get("Sec-WebSocket-Version") !== "13") return 426;
  return headers.has("Sec-WebSocket-Key") ? 101 : 400;
}

// A header that the platform sets, where one is named; otherwise what a self-hosted workerd knows of the TCP peer.
// Joins without either are counted together.
function addressOf(request: Request, settings: Settings): string {
  if (settings.sourceHeader !== "") return request.headers.get(settings.sourceHeader) ?? "";
  const peer = (request as { cf?: { clientIp?: unknown } }).cf?.clientIp;
  return typeof peer === "string" ? peer : "";
}

// As they would stand on the wire: "name: value\r\n".
function headerBytes(headers: Headers): number {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length + 4;
  return bytes;
}

function health(started: number): Response {
  const uptime = Math.floor((Date.now() - started) / 1_000);
  return new Response(`{"version":"${version}","uptime":${uptime}}\n`, {
    headers: { "Content-Type": "application/json" },
  });
}

function refuse(status: number): Response {
  const headers = new Headers({ "Content-Type": "text/plain" });
  if (status === 429 || status === 503) headers.set("Retry-After", "1");
  return new Response(null, { status, headers });
}
