// SPDX-License-Identifier: MIT
//
// How often a source may join (PROTOCOL.md, "Requests"). The table is one isolate's: asking an object for each join
// would cost more than most joins do. docs/guide/worker.md says what that means on Cloudflare, where there are many
// isolates. Used by index.ts. Pure.
import { TokenBucket } from "./token_bucket";

const MAX_SOURCES = 65_536;
// After a restart all that is behind one address is back at once, and asks until its exits are there.
const BURST_SECONDS = 20;

export class JoinLimiter {
  private readonly buckets = new Map<string, TokenBucket>(); // who asked last is at the end
  private readonly burst: number;

  constructor(
    private readonly rate: number,
    private readonly maxSources = MAX_SOURCES,
  ) {
    this.burst = Math.max(1, rate * BURST_SECONDS);
  }

  admit(source: string, now: number): boolean {
    return this.rate <= 0 || this.bucketOf(source, now).tryTake(now);
  }

  // When the table is full the source that asked longest ago is forgotten: its bucket is the one that is likeliest full
  // again, and no two sources ever share one.
  private bucketOf(source: string, now: number): TokenBucket {
    const bucket = this.buckets.get(source) ?? new TokenBucket(this.rate, this.burst, now);
    this.buckets.delete(source);
    this.buckets.set(source, bucket);
    const oldest = this.buckets.keys().next().value;
    if (this.buckets.size > this.maxSources && oldest !== undefined) this.buckets.delete(oldest);
    return bucket;
  }
}
