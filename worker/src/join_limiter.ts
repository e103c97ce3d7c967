// SPDX-License-Identifier: MIT
//
// How often a source may join (PROTOCOL.md, "Requests"). The table is one isolate's: asking an object for each join
// would cost more than most joins do. docs/worker.md says what that means on Cloudflare, where there are many isolates.
// Used by index.ts. Pure.
import { TokenBucket } from "./token_bucket";

const MAX_SOURCES = 65_536;
const BURST_SECONDS = 5;
const SWEEP_EVERY_MS = 1_000;

export class JoinLimiter {
  private readonly buckets = new Map<string, TokenBucket>();
  private readonly burst: number;
  private readonly overflow: TokenBucket;
  private sweptAt = 0;

  constructor(
    private readonly rate: number,
    now: number,
    private readonly maxSources = MAX_SOURCES,
  ) {
    this.burst = Math.max(1, rate * BURST_SECONDS);
    this.overflow = new TokenBucket(Math.max(rate, 1), this.burst, now);
  }

  admit(source: string, now: number): boolean {
    return this.rate <= 0 || this.bucketOf(source, now).tryTake(now);
  }

  private bucketOf(source: string, now: number): TokenBucket {
    const found = this.buckets.get(source);
    if (found) return found;
    if (this.buckets.size >= this.maxSources) this.sweep(now);
    if (this.buckets.size >= this.maxSources) return this.overflow;
    const bucket = new TokenBucket(this.rate, this.burst, now);
    this.buckets.set(source, bucket);
    return bucket;
  }

  // At most once a second: whoever fills the table must not make every join walk through it.
  private sweep(now: number): void {
    if (now - this.sweptAt < SWEEP_EVERY_MS) return;
    this.sweptAt = now;
    for (const [source, bucket] of this.buckets) {
      if (bucket.full(now)) this.buckets.delete(source);
    }
  }
}
