// SPDX-License-Identifier: MIT
//
// Where a room.ts keeps what it knows while it is not in memory. On Cloudflare that is the object's storage. A self-hosted
// workerd loses that with the object ("inMemory" is no more than a cache there), but has one isolate for all objects, for
// as long as it runs: the state is kept in that. The setting ROOM_STATE says which.
import type { Exit } from "./objects";
import type { Settings } from "./settings";

export interface RoomState {
  exits: Exit[];
  pairs: [pair: string, source: string][];
}

const KEY = "room";
const EMPTY: RoomState = { exits: [], pairs: [] };
const isolate = new Map<string, RoomState>();

export class RoomStore {
  private readonly inIsolate: boolean;

  constructor(
    private readonly ctx: DurableObjectState,
    settings: Settings,
  ) {
    this.inIsolate = settings.roomState === "isolate";
  }

  async load(): Promise<RoomState> {
    const kept = this.inIsolate ? isolate.get(this.ctx.id.toString()) : await this.ctx.storage.get<RoomState>(KEY);
    return kept ?? EMPTY;
  }

  // A room that knows nothing keeps nothing, or strangers could fill the memory with rooms of their own.
  save(state: RoomState): void {
    const object = this.ctx.id.toString();
    const empty = state.exits.length === 0 && state.pairs.length === 0;
    if (this.inIsolate) {
      if (empty) isolate.delete(object);
      else isolate.set(object, state);
    } else if (empty) {
      void this.ctx.storage.deleteAll();
    } else {
      void this.ctx.storage.put(KEY, state);
    }
  }
}
