// SPDX-License-Identifier: MIT
//
// The key of this deployment's pair ids, for pair_ids.ts: one object that draws it once and keeps it. Every isolate asks
// it once, so an operator has no secret to set, and who can read it owns the deployment anyway. A self-hosted workerd
// keeps the object in memory as long as it runs (workerd.capnp), and its waiting clients end with it, too.
import { DurableObject } from "cloudflare:workers";
import type { Env, PairKeyCalls } from "./objects";

const KEY_BYTES = 32;

export class PairKey extends DurableObject<Env> implements PairKeyCalls {
  // Nobody else is let in between the two: the runtime holds events back while storage is waited for.
  async key(): Promise<ArrayBuffer> {
    const kept = await this.ctx.storage.get<ArrayBuffer>("key");
    if (kept) return kept;
    const drawn = crypto.getRandomValues(new Uint8Array(KEY_BYTES)).buffer;
    await this.ctx.storage.put("key", drawn);
    return drawn;
  }
}
