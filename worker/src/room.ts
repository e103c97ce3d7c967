// SPDX-License-Identifier: MIT
//
// The exits of one room (PROTOCOL.md, "Registration"): the object that holds their control sockets and knocks on them
// when pair.ts asks it to. All state is in the sockets' attachments, so it hibernates whenever nobody joins.
import { DurableObject } from "cloudflare:workers";
import { answerTo, FORBIDDEN, GOING_AWAY, OTHER, POLICY, REPLACED } from "./close_codes";
import { decodeControl, encodeChallenge, encodeKnock, encodeRegistered } from "./control";
import { counters } from "./counters";
import { decodeInner } from "./inner_request";
import { randomName } from "./names";
import { type Claim, ownsRoom } from "./registration";
import { type Env, readSettings, type Settings } from "./settings";
import { accept, answerPings, close } from "./sockets";

const MAX_INSTANCES = 8;
// Sockets that have not registered, or were closed and have not ended.
const MAX_STRANGERS = 64;
const REGISTRATION_MS = 10_000;
const NONCE_BYTES = 32;

// A control socket's attachment; null once it was closed.
type Control = Challenged | Registered;
interface Challenged {
  state: "challenged" | "verifying";
  claim: Claim;
}
interface Registered {
  state: "registered";
  instance: string;
  since: number; // milliseconds
  turn: number; // of the exits, the one with the lowest is next
  pairs: number; // of the room, the same in every attachment
}

export class Room extends DurableObject<Env> {
  private readonly settings: Settings;
  private pairs = 0;
  private readonly deadlines = new Map<WebSocket, ReturnType<typeof setTimeout>>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    counters.rooms_constructed++;
    this.settings = readSettings(env);
    answerPings(ctx);
    this.pairs = this.exits()[0]?.control.pairs ?? 0;
  }

  // ---- an exit registers

  override async fetch(request: Request): Promise<Response> {
    counters.room_events++;
    const inner = decodeInner(request);
    if (inner.kind !== "exit") return new Response(null, { status: 404 });
    if (this.fullOfStrangers()) return new Response(null, { status: 503, headers: { "Retry-After": "1" } });
    const { socket, response } = accept(this.ctx);
    const nonce = randomName(NONCE_BYTES);
    const { room, instance, authority } = inner;
    attach(socket, { state: "challenged", claim: { room, instance, authority, nonce } });
    socket.send(encodeChallenge(nonce));
    // Keeps the object in memory until there is an answer, or it is due.
    this.deadlines.set(
      socket,
      setTimeout(() => this.drop(socket, FORBIDDEN), REGISTRATION_MS),
    );
    return response;
  }

  override async webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): Promise<void> {
    counters.room_events++;
    const control = controlOf(socket);
    if (control === null) return; // it was closed; what was on its way is nobody's
    if (control.state === "registered") return this.drop(socket, POLICY); // an exit sends nothing but `ping`
    const answer = typeof message === "string" ? decodeControl(message) : null;
    if (control.state === "verifying" || answer?.type !== "register") return this.drop(socket, FORBIDDEN);
    this.clearDeadline(socket);
    attach(socket, { ...control, state: "verifying" });
    const owner = await ownsRoom(control.claim, answer.roomKey, answer.signature);
    if (controlOf(socket)?.state !== "verifying") return; // it ended meanwhile
    if (owner) this.register(socket, control.claim.instance);
    else this.drop(socket, FORBIDDEN);
  }

  private register(socket: WebSocket, instance: string): void {
    const exits = this.exits();
    const older = exits.find((exit) => exit.control.instance === instance);
    if (!older && exits.length >= MAX_INSTANCES) return this.drop(socket, FORBIDDEN);
    if (older) this.drop(older.socket, REPLACED);
    const turn = Math.min(...exits.map((exit) => exit.control.turn), 0);
    attach(socket, { state: "registered", instance, since: Date.now(), turn, pairs: this.pairs });
    try {
      socket.send(encodeRegistered());
    } catch {
      this.drop(socket, OTHER);
    }
  }

  // ---- a client joins: called by its Pair

  // Counts a new pair and returns the instances to knock on, in their turn. No instance: nothing is counted, there is
  // no exit. Null: the room has its pairs.
  reserve(instance: string | null): string[] | null {
    counters.room_events++;
    this.dropSilent();
    const exits = this.exits().sort((a, b) => a.control.turn - b.control.turn);
    const wanted = exits.filter((exit) => instance === null || exit.control.instance === instance);
    if (wanted.length === 0) return [];
    if (this.pairs >= this.settings.maxPairsPerRoom) return null;
    const first = exits[0];
    if (instance === null && first) {
      attach(first.socket, { ...first.control, turn: Math.max(...exits.map((exit) => exit.control.turn)) + 1 });
    }
    this.count(1);
    return wanted.map((exit) => exit.control.instance);
  }

  // False when the instance is not there any more.
  knock(instance: string, pair: string): boolean {
    counters.room_events++;
    const exit = this.exits().find((exit) => exit.control.instance === instance);
    try {
      exit?.socket.send(encodeKnock(pair));
    } catch {
      return false;
    }
    return exit !== undefined;
  }

  release(): void {
    counters.room_events++;
    this.count(-1);
  }

  // ---- ending

  override webSocketClose(socket: WebSocket, code: number): void {
    counters.room_events++;
    this.drop(socket, answerTo(code));
  }

  override webSocketError(socket: WebSocket): void {
    counters.room_events++;
    this.drop(socket, OTHER);
  }

  private drop(socket: WebSocket, code: number): void {
    this.clearDeadline(socket);
    attach(socket, null);
    close(socket, code);
  }

  // A peer that does not answer its close keeps its socket, and one socket alone can't be cut: only all of them, with
  // the object. That is done when no exit is among them; otherwise the exits stay and no more register for now.
  private fullOfStrangers(): boolean {
    this.dropSilent();
    const exits = this.exits().length;
    if (this.ctx.getWebSockets().length - exits < MAX_STRANGERS) return false;
    if (exits === 0) this.ctx.abort("the sockets of strangers");
    return true;
  }

  private clearDeadline(socket: WebSocket): void {
    const deadline = this.deadlines.get(socket);
    if (deadline !== undefined) clearTimeout(deadline);
    this.deadlines.delete(socket);
  }

  // Looked at when somebody joins, and never by a timer, so that an idle room costs nothing.
  private dropSilent(): void {
    for (const { socket, control } of this.exits()) {
      const pinged = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
      if (Date.now() - Math.max(pinged, control.since) >= this.settings.idleMs) this.drop(socket, GOING_AWAY);
    }
  }

  // ---- state

  private exits(): { socket: WebSocket; control: Registered }[] {
    return this.ctx.getWebSockets().flatMap((socket) => {
      const control = controlOf(socket);
      return control?.state === "registered" ? [{ socket, control }] : [];
    });
  }

  private count(change: number): void {
    this.pairs = Math.max(0, this.pairs + change);
    for (const { socket, control } of this.exits()) attach(socket, { ...control, pairs: this.pairs });
  }
}

function controlOf(socket: WebSocket): Control | null {
  return socket.deserializeAttachment() as Control | null;
}

function attach(socket: WebSocket, control: Control | null): void {
  socket.serializeAttachment(control);
}
