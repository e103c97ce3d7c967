// SPDX-License-Identifier: MIT
//
// One client and one exit: the object that passes their messages on (PROTOCOL.md, "Pairing" and "Key epochs"). The
// client's half waits here while the exits of the room are knocked on; once the exit's half is there the object only
// acts on messages, and hibernates between them. A pair's id (pair_ids.ts) is the object's name: an id works once
// because no second client is ever sent here.
import { DurableObject } from "cloudflare:workers";
import { Backlog } from "./backlog";
import { answerTo, BEHIND, NO_EXIT, OTHER, PAIR_GONE, POLICY, passedOn, TOO_LONG, TRY_AGAIN } from "./close_codes";
import { decodeControl, encodePaired } from "./control";
import { counters } from "./counters";
import { Half } from "./half";
import { decodeInner, type Inner } from "./inner_request";
import { KeyRotation } from "./key_rotation";
import { randomName } from "./names";
import type { Env, Exit, PairCalls } from "./objects";
import { readSettings, type Settings } from "./settings";
import { Shares } from "./shares";
import { accept, answerPings, close } from "./sockets";

const MAX_MESSAGE_BYTES = 1 << 20;
const REMOTE_KEY_BYTES = 32;
const PAIR_TIMEOUT_MS = 10_000;
const KNOCK_TIMEOUT_MS = 3_000;
// How long a half may take to receive what is on its way, and to answer its close.
const DRAIN_MS = 30_000;
const CLOSING_MS = 6_000;
const GIVING_WAY_MS = 1_000;

// The pairs of this isolate, by their objects' ids, and whose clients they have. A self-hosted workerd has one isolate.
const shares = new Shares();
const backlog = new Backlog();

export class Pair extends DurableObject<Env> implements PairCalls {
  private readonly settings: Settings;
  private readonly object: string; // its id, by which others know its places
  private client: Half | null = null;
  private exit: Half | null = null;
  private readonly sockets: Set<WebSocket>; // that have not ended
  private drainTimer: ReturnType<typeof setTimeout> | null = null;
  private claimed: () => void = () => {};

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    counters.pairs_constructed++;
    this.settings = readSettings(env);
    this.object = ctx.id.toString();
    this.sockets = new Set(ctx.getWebSockets());
    answerPings(ctx);
    this.restore();
  }

  override async fetch(request: Request): Promise<Response> {
    counters.pair_events++;
    const inner = decodeInner(request);
    if (inner.kind === "client") return this.join(inner);
    return this.take();
  }

  // ---- waiting for an exit

  private async join({ room, pair, source, instance }: Inner & { kind: "client" }): Promise<Response> {
    const exits = await this.reserve(room, source, instance);
    if (exits === null) return new Response(null, { status: 429, headers: { "Retry-After": "1" } });
    const { socket, response } = this.accept();
    if (exits.length === 0) {
      close(socket, NO_EXIT);
      this.cutAfter(CLOSING_MS);
      return response;
    }
    const rotation = new KeyRotation(this.settings.rotateBytes, this.settings.rotateMs, Date.now());
    this.client = new Half("client", socket, { room, rotation, stalled: this.stalled }, this.settings);
    this.client.save();
    this.ctx.waitUntil(this.awaitExit(this.client, room, pair, exits));
    return response;
  }

  // The exits to knock on; null: the source has its share of pairs, or the room is full.
  private async reserve(room: string, source: string, instance: string | null): Promise<Exit[] | null> {
    const limits = { most: Number.POSITIVE_INFINITY, ofSource: this.settings.maxPairsPerSource };
    if (shares.take(this.object, source, limits) === null) return null;
    let exits: Exit[] | null = null;
    try {
      exits = await this.roomObject(room).reserve(this.object, source, instance);
      return exits;
    } finally {
      if (exits === null || exits.length === 0) shares.release(this.object);
    }
  }

  // Its timers keep the object in memory, for the ten seconds that a client waits and no longer.
  private async awaitExit(client: Half, room: string, pair: string, exits: Exit[]): Promise<void> {
    const deadline = Date.now() + PAIR_TIMEOUT_MS;
    const waiting = () => this.client === client && this.exit === null;
    const claimed = new Promise<void>((resolve) => {
      this.claimed = resolve;
    });
    let knocked = false;
    for (const [i, exit] of exits.entries()) {
      const there = await this.knock(room, exit, pair);
      if (!waiting()) return;
      if (!there) continue;
      knocked = true;
      const left = deadline - Date.now();
      const last = i + 1 === exits.length;
      await waitFor(claimed, last ? left : Math.min(KNOCK_TIMEOUT_MS, left));
      if (!waiting()) return;
    }
    // An exit that was knocked on and did not come is late, not absent: another try may help.
    this.end(client, knocked ? PAIR_GONE : NO_EXIT, OTHER);
  }

  private async knock(room: string, exit: Exit, pair: string): Promise<boolean> {
    try {
      const there = await this.env.EXIT.get(this.env.EXIT.idFromString(exit.object)).knock(pair);
      if (!there) await this.roomObject(room).leave(exit);
      return there;
    } catch {
      return false; // the platform failed: the exit may be there at the next try
    }
  }

  // ---- becoming a pair

  // 410: nobody waits under an id that was given out, because it was used or its client has left.
  private take(): Response {
    const client = this.client;
    if (client === null || this.exit !== null) return new Response(null, { status: 410 });
    const { socket, response } = this.accept();
    const exit = new Half("exit", socket, client.shared, this.settings);
    this.exit = exit;
    client.other = exit;
    exit.other = client;
    client.shared.rotation.begin(Date.now());
    try {
      const paired = encodePaired(randomName(REMOTE_KEY_BYTES), this.settings.windowBytes);
      client.socket.send(paired);
      exit.socket.send(paired);
      client.save();
      exit.save();
    } catch {
      this.broke(exit);
    }
    this.claimed();
    return response;
  }

  // ---- passing messages on

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    counters.pair_events++;
    const half = this.halfOf(socket);
    if (half === null) return; // it was closed; what was on its way is nobody's
    try {
      if (typeof message === "string") this.onText(half, message);
      else this.onBinary(half, message);
    } catch {
      this.broke(half);
    }
  }

  private onBinary(from: Half, message: ArrayBuffer): void {
    const to = from.other;
    if (to === null) return this.end(from, POLICY, OTHER); // before `paired` there is nobody to talk to
    if (message.byteLength > MAX_MESSAGE_BYTES) return this.end(from, TOO_LONG, OTHER);
    const epoch = from.shared.rotation.pass(message.byteLength, Date.now(), from.answered && to.answered);
    if (epoch !== null && !this.announce(from, to, epoch)) return;
    if (!to.deliver(message)) return this.end(to, BEHIND, BEHIND);
    this.account();
  }

  // Says what waits for both halves, and has the pair that holds most give way when all hold too much. That one can only
  // be told by a call: an object's sockets are its own.
  private account(): void {
    const held = (this.client?.heldBytes ?? 0) + (this.exit?.heldBytes ?? 0);
    const heaviest = backlog.set(this.object, held, this.settings.maxHeldBytes);
    if (heaviest === null) return;
    backlog.set(heaviest, 0, this.settings.maxHeldBytes);
    this.ctx.waitUntil(
      this.env.PAIR.get(this.env.PAIR.idFromString(heaviest))
        .holdsMost()
        .catch(() => {}),
    );
  }

  // The key goes to both halves before the message that it was due at, and behind all others.
  private announce(from: Half, to: Half, epoch: number): boolean {
    const key = randomName(REMOTE_KEY_BYTES);
    const kept = [from.announce(epoch, key), to.announce(epoch, key)];
    if (kept.every((kept) => kept)) return true;
    this.end(to, BEHIND, BEHIND);
    return false;
  }

  private onText(half: Half, text: string): void {
    const message = decodeControl(text);
    if (message?.type === "mark" && half.echoed(message.id)) return this.account();
    if (message?.type === "key_seen" && half.keySeen(message.epoch)) return;
    this.end(half, POLICY, OTHER);
  }

  // ---- ending

  // Called by a room that needs its place.
  giveWay(): void {
    counters.pair_events++;
    if (this.client !== null) this.end(this.client, TRY_AGAIN, TRY_AGAIN);
  }

  // Called by a pair of the same isolate. What is held goes with the sockets, so they are cut soon.
  holdsMost(): void {
    counters.pair_events++;
    if (this.client === null) return;
    this.cutAfter(GIVING_WAY_MS);
    this.end(this.client, BEHIND, BEHIND);
  }

  alive(): boolean {
    counters.pair_events++;
    return this.client !== null;
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    counters.pair_events++;
    close(socket, answerTo(code));
    this.over(socket, passedOn(code));
  }

  override webSocketError(socket: WebSocket): void {
    counters.pair_events++;
    close(socket, OTHER);
    this.over(socket, OTHER);
  }

  private readonly stalled = (half: Half): void => this.end(half, BEHIND, BEHIND);

  private over(socket: WebSocket, toOther: number): void {
    const half = this.halfOf(socket);
    this.sockets.delete(socket);
    if (half !== null) this.end(half, null, toOther);
    if (this.sockets.size === 0 && this.drainTimer !== null) clearTimeout(this.drainTimer);
  }

  // The pair is over: `half` gets `code`, unless it is gone, and the other one `toOther`, each behind what it was sent.
  private end(half: Half, code: number | null, toOther: number): void {
    const other = half.other;
    half.forget();
    other?.forget();
    this.client = null;
    this.exit = null;
    if (code !== null) close(half.socket, code);
    if (other !== null) close(other.socket, toOther);
    this.claimed();
    this.giveBackPlace(half.shared.room);
    this.cutAfter(other === null ? CLOSING_MS : DRAIN_MS);
  }

  // A peer that neither reads nor answers its close would keep its socket and its queue: after a while everything here
  // is cut. The timer runs only behind an end.
  private cutAfter(ms: number): void {
    if (this.sockets.size === 0) return;
    this.drainTimer ??= setTimeout(() => this.ctx.abort("drained"), ms);
  }

  // A room that does not hear it finds out when it needs the place.
  private giveBackPlace(room: string): void {
    shares.release(this.object);
    backlog.set(this.object, 0, this.settings.maxHeldBytes);
    this.ctx.waitUntil(
      this.roomObject(room)
        .release(this.object)
        .catch(() => {}),
    );
  }

  // ---- state

  private restore(): void {
    const rotation = new KeyRotation(this.settings.rotateBytes, this.settings.rotateMs, Date.now());
    for (const socket of this.sockets) {
      const half = Half.restore(socket, { rotation, stalled: this.stalled }, this.settings);
      if (half !== null) this[half.role] = half;
    }
    if (this.client === null || this.exit === null) return;
    this.client.other = this.exit;
    this.exit.other = this.client;
  }

  private halfOf(socket: WebSocket): Half | null {
    if (this.client?.socket === socket) return this.client;
    return this.exit?.socket === socket ? this.exit : null;
  }

  private accept(): { socket: WebSocket; response: Response } {
    const accepted = accept(this.ctx);
    accepted.socket.serializeAttachment(null);
    this.sockets.add(accepted.socket);
    return accepted;
  }

  // A socket was closed by its peer while it was written to: the pair ends as when a half is cut.
  private broke(half: Half): void {
    this.end(half, OTHER, OTHER);
  }

  private roomObject(room: string) {
    return this.env.ROOM.get(this.env.ROOM.idFromName(room));
  }
}

function waitFor(event: Promise<void>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void event.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
