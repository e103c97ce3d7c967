// SPDX-License-Identifier: MIT
//
// The Durable Objects as they call each other, and the environment in which they find each other. Each implements its
// own of these; none imports another.
import type { Vars } from "./settings";

// An exit that has shown that the room is its own, and the ExitSocket that holds its control socket.
export interface Exit {
  instance: string;
  object: string;
}

// exit_socket.ts
export interface ExitCalls extends Rpc.DurableObjectBranded {
  knock(pair: string): Promise<boolean>;
  replaced(): void;
  alive(): boolean;
}

// room.ts
export interface RoomCalls extends Rpc.DurableObjectBranded {
  register(exit: Exit): Promise<boolean>;
  leave(exit: Exit): void;
  reserve(pair: string, source: string, instance: string | null): Promise<Exit[] | null>;
  release(pair: string): void;
}

// pair.ts
export interface PairCalls extends Rpc.DurableObjectBranded {
  giveWay(): void;
  holdsMost(): void;
  alive(): boolean;
}

// pair_key.ts
export interface PairKeyCalls extends Rpc.DurableObjectBranded {
  key(): Promise<ArrayBuffer>;
}

export interface Env extends Vars {
  EXIT: DurableObjectNamespace<ExitCalls>;
  ROOM: DurableObjectNamespace<RoomCalls>;
  PAIR: DurableObjectNamespace<PairCalls>;
  PAIR_KEY: DurableObjectNamespace<PairKeyCalls>;
}
