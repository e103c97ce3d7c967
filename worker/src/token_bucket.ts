// SPDX-License-Identifier: MIT
//
// So many tokens a second, and a few kept for later: what join_limiter.ts has for each source. Times are milliseconds
// of a clock that the caller has. Pure.

export class TokenBucket {
  private tokens: number;

  // `rate` tokens a second, above 0; at most `burst` are kept. Starts full.
  constructor(
    private readonly rate: number,
    private readonly burst: number,
    private filled: number,
  ) {
    this.tokens = burst;
  }

  tryTake(now: number): boolean {
    this.refill(now);
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  // A full bucket is as good as a new one: it need not be remembered.
  full(now: number): boolean {
    this.refill(now);
    return this.tokens >= this.burst;
  }

  private refill(now: number): void {
    if (now <= this.filled) return;
    this.tokens = Math.min(this.burst, this.tokens + (this.rate * (now - this.filled)) / 1_000);
    this.filled = now;
  }
}
