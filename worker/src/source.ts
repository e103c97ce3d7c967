// SPDX-License-Identifier: MIT
//
// Whose joins are counted together: an IPv4 address or an IPv6 /64, for join_limiter.ts. Pure.

// The source that an address's text stands for. Text that is no address is a source of its own; only who sets the
// header that it comes from could make many of those.
export function sourceOf(address: string): string {
  const v6 = parseIpv6(withoutPort(address));
  if (v6 === null) return withoutPort(address).slice(0, 64);
  const mapped = v6.slice(0, 5).every((group) => group === 0) && v6[5] === 0xffff;
  if (mapped) return [v6[6], v6[7]].map((group) => `${(group ?? 0) >> 8}.${(group ?? 0) & 255}`).join(".");
  return `${v6
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(":")}::/64`;
}

// 192.0.2.1:443 and [2001:db8::1]:443 without their ports.
function withoutPort(address: string): string {
  if (address.startsWith("[")) return address.slice(1).split("]", 1)[0] ?? "";
  const parts = address.split(":");
  return parts.length === 2 ? (parts[0] ?? "") : address;
}

function parseIpv6(text: string): number[] | null {
  if (!text.includes(":") || text.length > 45) return null;
  const withGroups = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((group) => group.toString(16)).join(":"),
  );
  const [head = "", tail, ...more] = withGroups.split("::");
  if (more.length > 0) return null;
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const groups = [...left, ...Array<string>(missing).fill("0"), ...right];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return null;
  return groups.map((group) => Number.parseInt(group, 16));
}
