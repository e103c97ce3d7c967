// SPDX-License-Identifier: MIT
//
// One control socket of an exit (PROTOCOL.md, "Registration"): the object that challenges it, tells its room.ts once it
// has shown that the room is its own, and knocks on it when a pair.ts asks. One object for each socket: a stranger's
// takes no place in anybody's room, and one whose peer does not answer its close is cut alone. It hibernates.
import { DurableObject } from "cloudflare:workers";
import { answerTo, FORBIDDEN, GOING_AWAY, OTHER, POLICY, REPLACED, TOO_LONG, TRY_AGAIN } from "./close_codes";
import { decodeControl, encodeChallenge, encodeKnock, encodeRegistered } from "./control";
import { counters } from "./counters";
import { decodeInner } from "./inner_request";
import { randomName } from "./names";
import type { Env, ExitCalls } from "./objects";
import { type Claim, ownsRoom } from "./registration";
import { readSettings, type Settings } from "./settings";
import { type Limits, Shares } from "./shares";
import { accept, answerPings, close } from "./sockets";

const REGISTRATION_MS = 10_000;
// How long a peer may take to answer its close.
const CLOSING_MS = 6_000;
const NONCE_BYTES = 32;
const MAX_MESSAGE_BYTES = 4 * 1_024;

// The socket's attachment; null once it was closed.
interface Control {
  state: "challenged" | "verifying" | "registered";
  claim: Claim;
  source: string;
  since: number; // milliseconds
}

// The registered exits of this isolate, by their objects' ids. A self-hosted workerd has one isolate.
const shares = new Shares();

export class ExitSocket extends DurableObject<Env> implements ExitCalls {
  private readonly settings: Settings;
  private readonly limits: Limits;
  private deadline: ReturnType<typeof setTimeout> | null = null;
  private registering: Promise<void> | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    counters.exits_constructed++;
    this.settings = readSettings(env);
    this.limits = { most: Number.POSITIVE_INFINITY, ofSource: this.settings.maxPairsPerSource };
    answerPings(ctx);
  }

  // ---- registering

  override async fetch(request: Request): Promise<Response> {
    counters.exit_events++;
    const inner = decodeInner(request);
    if (inner.kind !== "exit") return new Response(null, { status: 404 });
    const { room, instance, authority, source } = inner;
    if (shares.count(source) >= this.limits.ofSource) {
      return new Response(null, { status: 429, headers: { "Retry-After": "1" } });
    }
    const { socket, response } = accept(this.ctx);
    const nonce = randomName(NONCE_BYTES);
    attach(socket, { state: "challenged", claim: { room, instance, authority, nonce }, source, since: Date.now() });
    socket.send(encodeChallenge(nonce));
    // Keeps the object in memory until there is an answer, or it is due.
    this.deadline = setTimeout(() => this.drop(socket, FORBIDDEN), REGISTRATION_MS);
    return response;
  }

  override async webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): Promise<void> {
    counters.exit_events++;
    const control = controlOf(socket);
    if (control === null) return; // it was closed; what was on its way is nobody's
    if (bytesOf(message) > MAX_MESSAGE_BYTES) return this.drop(socket, TOO_LONG);
    if (control.state === "registered") return this.drop(socket, POLICY); // an exit sends nothing but `ping`
    const answer = typeof message === "string" ? decodeControl(message) : null;
    if (control.state === "verifying" || answer?.type !== "register") return this.drop(socket, FORBIDDEN);
    this.clearDeadline();
    attach(socket, { ...control, state: "verifying" });
    this.registering = this.register(socket, control, answer.roomKey, answer.signature).catch(() => {
      this.drop(socket, OTHER); // the platform failed: another try may help
    });
    await this.registering;
    this.registering = null;
  }

  private async register(socket: WebSocket, control: Control, key: Uint8Array, signature: Uint8Array): Promise<void> {
    const { claim } = control;
    if (!(await ownsRoom(claim, key, signature))) return this.drop(socket, FORBIDDEN);
    if (controlOf(socket) === null) return; // it ended meanwhile
    const object = this.ctx.id.toString();
    if (shares.take(object, control.source, this.limits) === null) return this.drop(socket, TRY_AGAIN);
    attach(socket, { ...control, state: "registered", since: Date.now() });
    if (!(await this.roomObject(claim).register({ instance: claim.instance, object }))) this.drop(socket, FORBIDDEN);
    else if (!this.send(socket, encodeRegistered())) this.drop(socket, OTHER);
  }

  // ---- a client joins: called by its Pair

  // False when the exit is not here any more.
  async knock(pair: string): Promise<boolean> {
    counters.exit_events++;
    if (this.registering) await this.registering; // `registered` comes first
    const socket = this.registered();
    return socket !== null && this.send(socket, encodeKnock(pair));
  }

  // ---- ending

  replaced(): void {
    counters.exit_events++;
    for (const socket of this.ctx.getWebSockets()) this.drop(socket, REPLACED);
  }

  // Called by a Room that has all its instances. One that was silent for too long is closed; that is looked at when
  // somebody joins, and never by a timer, so that an idle exit costs nothing.
  alive(): boolean {
    counters.exit_events++;
    return this.registered() !== null;
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    counters.exit_events++;
    this.drop(socket, answerTo(code));
    this.clearDeadline(); // nobody is waited for
  }

  override webSocketError(socket: WebSocket): void {
    counters.exit_events++;
    this.drop(socket, OTHER);
    this.clearDeadline();
  }

  // After a while it is cut: a peer that does not answer its close would keep it.
  private drop(socket: WebSocket, code: number): void {
    const control = controlOf(socket);
    close(socket, code);
    if (control === null) return;
    attach(socket, null);
    this.clearDeadline();
    this.deadline = setTimeout(() => this.ctx.abort("closed"), CLOSING_MS);
    if (control.state !== "registered") return;
    const exit = { instance: control.claim.instance, object: this.ctx.id.toString() };
    shares.release(exit.object);
    // A room that does not hear it finds out when it knocks.
    this.ctx.waitUntil(
      this.roomObject(control.claim)
        .leave(exit)
        .catch(() => {}),
    );
  }

  // ---- state

  private clearDeadline(): void {
    if (this.deadline !== null) clearTimeout(this.deadline);
    this.deadline = null;
  }

  private registered(): WebSocket | null {
    for (const socket of this.ctx.getWebSockets()) {
      const control = controlOf(socket);
      if (control?.state !== "registered") continue;
      const pinged = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
      if (Date.now() - Math.max(pinged, control.since) < this.settings.idleMs) return socket;
      this.drop(socket, GOING_AWAY);
    }
    return null;
  }

  private send(socket: WebSocket, text: string): boolean {
    try {
      socket.send(text);
      return true;
    } catch {
      return false;
    }
  }

  private roomObject({ room }: Claim) {
    return this.env.ROOM.get(this.env.ROOM.idFromName(room));
  }
}

function bytesOf(message: ArrayBuffer | string): number {
  return typeof message === "string" ? message.length : message.byteLength;
}

function controlOf(socket: WebSocket): Control | null {
  return socket.deserializeAttachment() as Control | null;
}

function attach(socket: WebSocket, control: Control | null): void {
  socket.serializeAttachment(control);
}
