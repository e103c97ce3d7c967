// SPDX-License-Identifier: MIT
//
// One room (PROTOCOL.md, "Registration" and "Pairing"): which exits are reachable in it, whose turn it is, and whose the
// pairs are. The control sockets are exit_socket.ts's, the pairs pair.ts's; both call it. What it knows is in
// room_store.ts, since it is dropped from memory whenever nobody joins.
import { DurableObject } from "cloudflare:workers";
import { counters } from "./counters";
import type { Env, Exit, RoomCalls } from "./objects";
import { RoomStore } from "./room_store";
import { readSettings } from "./settings";
import { type Limits, Shares, type Taken } from "./shares";

const MAX_INSTANCES = 8;

export class Room extends DurableObject<Env> implements RoomCalls {
  private readonly limits: Limits; // of pairs; a source's share is its pair.ts's
  private readonly store: RoomStore;
  private exits: Exit[] = []; // whose turn it is comes first
  private pairs = new Shares();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    counters.rooms_constructed++;
    const settings = readSettings(env);
    this.limits = { most: settings.maxPairsPerRoom, ofSource: settings.maxPairsPerRoom };
    this.store = new RoomStore(ctx, settings);
    void ctx.blockConcurrencyWhile(() => this.restore());
  }

  private async restore(): Promise<void> {
    const { exits, pairs } = await this.store.load();
    this.exits = exits;
    this.pairs = new Shares(pairs);
  }

  // ---- exits: called by their ExitSockets

  // False when the room has its instances. A newer socket of an instance takes the older one's place.
  async register(exit: Exit): Promise<boolean> {
    counters.room_events++;
    const same = (other: Exit) => other.instance === exit.instance;
    if (!this.exits.some(same) && this.exits.length >= MAX_INSTANCES) await this.dropSilent();
    const older = this.exits.find(same);
    if (!older && this.exits.length >= MAX_INSTANCES) return false;
    this.exits = [exit, ...this.exits.filter((other) => !same(other))];
    this.save();
    if (older) {
      this.ctx.waitUntil(
        this.exitObject(older)
          .replaced()
          .catch(() => {}),
      );
    }
    return true;
  }

  leave(exit: Exit): void {
    counters.room_events++;
    const left = this.exits.filter(({ object }) => object !== exit.object);
    if (left.length === this.exits.length) return; // another took its place
    this.exits = left;
    this.save();
  }

  private async dropSilent(): Promise<void> {
    const alive = await Promise.all(this.exits.map((exit) => this.exitObject(exit).alive()));
    const gone = new Set(this.exits.filter((_, i) => !alive[i]).map(({ object }) => object));
    this.exits = this.exits.filter(({ object }) => !gone.has(object));
  }

  // ---- pairs: called by them, with their objects' ids

  // Takes a place for a new pair and returns the exits to knock on, in their turn. No exit: no place was taken. Null: the
  // room has its pairs.
  async reserve(pair: string, source: string, instance: string | null): Promise<Exit[] | null> {
    counters.room_events++;
    const wanted = this.exits.filter((exit) => instance === null || exit.instance === instance);
    if (wanted.length === 0) return [];
    const taken = this.pairs.take(pair, source, this.limits) ?? (await this.takeFromTheGone(pair, source));
    if (taken === null) return null;
    if (taken.givesWay !== null) this.giveWay(taken.givesWay);
    const [first, ...others] = this.exits;
    if (instance === null && first !== undefined) this.exits = [...others, first];
    this.save();
    return wanted;
  }

  release(pair: string): void {
    counters.room_events++;
    if (this.pairs.release(pair)) this.save();
  }

  // A pair that the platform ended could not say so. It is looked for where its place is needed, one at a time.
  private async takeFromTheGone(pair: string, source: string): Promise<Taken | null> {
    const oldest = this.pairs.oldest();
    if (oldest === null || (await this.pairObject(oldest).alive())) return null;
    this.release(oldest);
    return this.pairs.take(pair, source, this.limits);
  }

  private giveWay(pair: string): void {
    this.ctx.waitUntil(
      this.pairObject(pair)
        .giveWay()
        .catch(() => {}),
    );
  }

  // ---- state

  private save(): void {
    this.store.save({ exits: this.exits, pairs: this.pairs.entries() });
  }

  private pairObject(pair: string) {
    return this.env.PAIR.get(this.env.PAIR.idFromString(pair));
  }

  private exitObject({ object }: Exit) {
    return this.env.EXIT.get(this.env.EXIT.idFromString(object));
  }
}
