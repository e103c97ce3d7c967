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

  // A clock that went back, as an operator's may, begins to fill it anew: nobody is held until that time comes again.
  private refill(now: number): void {
    const passed = Math.max(0, now - this.filled);
    this.tokens = Math.min(this.burst, this.tokens + (this.rate * passed) / 1_000);
    this.filled = now;
  }
}
