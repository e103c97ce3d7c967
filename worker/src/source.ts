// SPDX-License-Identifier: MIT
//
// Whose joins are counted together: an IPv4 address or an IPv6 /64, for join_limiter.ts. Pure.
import { isIpv4, parseAddress } from "./address";

// The source that an address's text stands for. Text that is no address is a source of its own: only the platform or
// a proxy that is trusted says one.
export function sourceOf(text: string): string {
  const address = parseAddress(text);
  if (address === null) return text.slice(0, 64);
  if (isIpv4(address)) {
    const [high = 0, low = 0] = address.slice(6);
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  return `${address
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(":")}::/64`;
}
