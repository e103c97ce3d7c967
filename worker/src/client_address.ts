// SPDX-License-Identifier: MIT
//
// Whose join a request is: the TCP peer's, or behind proxies that the operator trusts the last address in their header
// that none of them has. A stranger who reaches the Worker directly can write that header, too, so it counts only from
// such a proxy. For index.ts. Pure.
import { contains, type Network, parseAddress } from "./address";

// The proxies that may name a client: blocks of addresses, or the platform itself, which has no TCP peer to show.
export type Proxies = readonly Network[] | "platform";

// `peer` is empty where the platform does not tell it; `header` null where the request has none.
export function clientAddress(peer: string, header: string | null, proxies: Proxies): string {
  const entries = (header ?? "").split(",").map((entry) => entry.trim());
  if (proxies === "platform") return entries.at(-1) || peer;
  let client = peer;
  while (entries.length > 0 && isProxy(client, proxies)) {
    const entry = entries.pop() ?? "";
    // What stands left of an entry that is untrusted or unreadable may be made up.
    if (parseAddress(entry) === null) break;
    client = entry;
  }
  return client;
}

function isProxy(text: string, proxies: readonly Network[]): boolean {
  const address = parseAddress(text);
  return address !== null && proxies.some((proxy) => contains(proxy, address));
}
