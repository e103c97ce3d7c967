// SPDX-License-Identifier: MIT
//
// Places, and which source has them: of pairs and of registered exits. A source has a share, and when all places are
// taken one of the source that has most makes room, so that one can't keep the others out (PROTOCOL.md,
// "Registration"). room.ts has one for its pairs, pair.ts and exit_socket.ts one each for their isolate. Pure.

export interface Limits {
  most: number;
  ofSource: number;
}

export interface Taken {
  givesWay: string | null; // who has lost its place for it
}

export class Shares {
  private readonly places = new Map<string, string>(); // to their sources, the oldest first
  private readonly sources = new Map<string, Set<string>>(); // those with a place

  // What was taken before, the oldest first.
  constructor(taken: Iterable<[place: string, source: string]> = []) {
    for (const [place, source] of taken) this.add(place, source);
  }

  entries(): [place: string, source: string][] {
    return [...this.places];
  }

  oldest(): string | null {
    return this.places.keys().next().value ?? null;
  }

  count(source: string): number {
    return this.sources.get(source)?.size ?? 0;
  }

  // Null: there is no place, and nobody to give way. The newest one of the source that has most does, if that source
  // keeps as many as the newcomer's then has.
  take(place: string, source: string, { most, ofSource }: Limits): Taken | null {
    if (this.count(source) >= ofSource) return null;
    let givesWay: string | null = null;
    if (this.places.size >= most) {
      givesWay = this.newestOfTheHeaviest(this.count(source) + 2);
      if (givesWay === null) return null;
      this.release(givesWay);
    }
    this.add(place, source);
    return { givesWay };
  }

  release(place: string): boolean {
    const source = this.places.get(place);
    if (source === undefined) return false;
    this.places.delete(place);
    const own = this.sources.get(source);
    own?.delete(place);
    if (own?.size === 0) this.sources.delete(source);
    return true;
  }

  private add(place: string, source: string): void {
    this.places.set(place, source);
    const own = this.sources.get(source);
    if (own) own.add(place);
    else this.sources.set(source, new Set([place]));
  }

  private newestOfTheHeaviest(atLeast: number): string | null {
    let heaviest: Set<string> | null = null;
    for (const own of this.sources.values()) if (own.size > (heaviest?.size ?? 0)) heaviest = own;
    return heaviest !== null && heaviest.size >= atLeast ? ([...heaviest].at(-1) ?? null) : null;
  }
}
