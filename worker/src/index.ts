// SPDX-License-Identifier: MIT
//
// The Worker: where every request comes in. It decides what can be decided before the upgrade (PROTOCOL.md,
// "Requests"), and hands an upgrade to the object that it is for: exit_socket.ts for an exit's control socket, pair.ts
// for either half of a pair. A stranger's request makes an object only when it was counted as a join of its source.
import { version } from "../package.json";
import { clientAddress } from "./client_address";
import { counters } from "./counters";
import { encodeInner } from "./inner_request";
import { JoinLimiter } from "./join_limiter";
import type { Env } from "./objects";
import { isOwnName } from "./own_names";
import { PairIds } from "./pair_ids";
import { parseRoute, type Route, targetOf } from "./route";
import { readSettings, type Settings } from "./settings";
import { sourceOf } from "./source";

export { ExitSocket } from "./exit_socket";
export { Pair } from "./pair";
export { PairKey } from "./pair_key";
export { Room } from "./room";

const MAX_URL_BYTES = 512;
const MAX_HEADER_BYTES = 8 * 1_024;

// Of this isolate, from its first request on: at the top level no clock runs yet.
interface State {
  settings: Settings;
  joins: JoinLimiter;
  pairIds: PairIds | null; // null: the key was not asked for yet
  started: number;
}
let state: State | null = null;

function stateOf(env: Env): State {
  if (state === null) {
    const settings = readSettings(env);
    state = { settings, joins: new JoinLimiter(settings.joinRate), pairIds: null, started: Date.now() };
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
    const source = sourceOf(addressOf(request, settings));
    if (route.kind === "pair") {
      // The exit's half of a pair that waits is no join: it belongs to a client that was counted. Any other is one.
      const answer = await take(route, env);
      return answer.status === 101 || joins.admit(source, Date.now()) ? answer : refuse(429);
    }
    if (!joins.admit(source, Date.now())) return refuse(429);
    return route.kind === "exit" ? register(route, source, request, env) : join(route, source, env);
  },
} satisfies ExportedHandler<Env>;

type RouteOf<Kind> = Extract<Route, { kind: Kind }>;

async function register(route: RouteOf<"exit">, source: string, request: Request, env: Env): Promise<Response> {
  const { room, instance } = route;
  const authority = request.headers.get("Host") ?? "";
  if (!isOwnName(authority, stateOf(env).settings.relayNames)) return refuse(421);
  return env.EXIT.get(env.EXIT.newUniqueId()).fetch(encodeInner({ kind: "exit", room, instance, authority, source }));
}

async function join(route: RouteOf<"client">, source: string, env: Env): Promise<Response> {
  const { room, instance } = route;
  const pair = await (await pairIdsOf(env)).issue(room, Date.now());
  return pairObject(env, room, pair).fetch(encodeInner({ kind: "client", room, pair, source, instance }));
}

async function take(route: RouteOf<"pair">, env: Env): Promise<Response> {
  const { room, pair } = route;
  if (!(await (await pairIdsOf(env)).issued(room, pair, Date.now()))) return refuse(410);
  return pairObject(env, room, pair).fetch(encodeInner({ kind: "pair", room, pair }));
}

// A pair of another room has another object, so its id means nothing there.
function pairObject(env: Env, room: string, pair: string) {
  return env.PAIR.get(env.PAIR.idFromName(`${room}/${pair}`));
}

// Requests that come before the key do not wait for each other: an isolate's requests can't share what they wait for.
async function pairIdsOf(env: Env): Promise<PairIds> {
  const state = stateOf(env);
  if (state.pairIds === null) {
    const key = await env.PAIR_KEY.get(env.PAIR_KEY.idFromName("")).key();
    state.pairIds = await PairIds.withKey(key);
  }
  return state.pairIds;
}

function upgradeStatus(headers: Headers): number {
  if (headers.get("Upgrade")?.toLowerCase() !== "websocket") return 404;
  if (headers.get("Sec-WebSocket-Version") !== "13") return 426;
  return headers.has("Sec-WebSocket-Key") ? 101 : 400;
}

// A self-hosted workerd tells the TCP peer; joins without any address are counted together.
function addressOf(request: Request, settings: Settings): string {
  const peer = (request as { cf?: { clientIp?: unknown } }).cf?.clientIp;
  const header = request.headers.get(settings.sourceHeader);
  return clientAddress(typeof peer === "string" ? peer : "", header, settings.trustedProxies);
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
