// SPDX-License-Identifier: MIT
//
// What waits for the receivers of all pairs of this isolate, whose memory they share: when it is more than they may have
// together, the pair that holds most gives way (PROTOCOL.md, "Limits"). For pair.ts. Pure.

export class Backlog {
  private readonly held = new Map<string, number>(); // pairs that hold something
  private total = 0;

  // `pair` holds so much now. The pair that has to end, so that all hold no more than `most`; null while they do not.
  set(pair: string, bytes: number, most: number): string | null {
    this.total += bytes - (this.held.get(pair) ?? 0);
    if (bytes > 0) this.held.set(pair, bytes);
    else this.held.delete(pair);
    return this.total > most ? this.heaviest() : null;
  }

  private heaviest(): string | null {
    let heaviest: string | null = null;
    let most = 0;
    for (const [pair, bytes] of this.held) {
      if (bytes <= most) continue;
      heaviest = pair;
      most = bytes;
    }
    return heaviest;
  }
}
