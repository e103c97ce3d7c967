// SPDX-License-Identifier: MIT
//
// IP addresses as text, and blocks of them: what source.ts and client_address.ts compare. An IPv4 address is its
// IPv4-mapped IPv6 one. Pure.

// Eight groups of 16 bits.
export type Address = readonly number[];

export interface Network {
  address: Address;
  length: number; // bits of the IPv6 form
}

const MAPPED = [0, 0, 0, 0, 0, 0xffff];

export function isIpv4(address: Address): boolean {
  return MAPPED.every((group, i) => address[i] === group);
}

// 192.0.2.1, 192.0.2.1:443, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:443, as proxies write them; null for what is
// none of these.
export function parseAddress(text: string): Address | null {
  const bare = withoutPort(text);
  return parseIpv4(bare) ?? parseIpv6(bare);
}

// ADDRESS or ADDRESS/LENGTH.
export function parseNetwork(text: string): Network | null {
  const [bare = "", digits, ...more] = text.split("/");
  const address = parseIpv4(bare) ?? parseIpv6(bare);
  if (address === null || more.length > 0) return null;
  const bits = bare.includes(":") ? 128 : 32;
  if (digits === undefined) return { address, length: 128 };
  if (!/^[0-9]{1,3}$/.test(digits) || Number(digits) > bits) return null;
  return { address, length: 128 - bits + Number(digits) };
}

export function contains({ address, length }: Network, other: Address): boolean {
  return address.every((group, i) => {
    const ignored = Math.min(16, Math.max(0, 16 * (i + 1) - length));
    return (group ^ (other[i] ?? 0)) >> ignored === 0;
  });
}

function withoutPort(text: string): string {
  if (text.startsWith("[")) return text.slice(1).split("]", 1)[0] ?? "";
  const parts = text.split(":");
  return parts.length === 2 ? (parts[0] ?? "") : text;
}

function parseIpv4(text: string): Address | null {
  const bytes = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (!bytes?.every((byte) => byte < 256)) return null;
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return [...MAPPED, a * 256 + b, c * 256 + d];
}

function parseIpv6(text: string): Address | null {
  if (!text.includes(":") || text.length > 45) return null;
  const dotted = text.slice(text.lastIndexOf(":") + 1);
  const end = dotted.includes(".") ? parseIpv4(dotted) : null;
  if (dotted.includes(".") && end === null) return null;
  const groups = end === null ? text : text.slice(0, -dotted.length) + end.slice(6).map(hexadecimal).join(":");
  const [head = "", tail, ...more] = groups.split("::");
  if (more.length > 0) return null;
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const all = [...left, ...Array<string>(missing).fill("0"), ...right];
  return all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group)) ? all.map((group) => Number.parseInt(group, 16)) : null;
}

function hexadecimal(group: number): string {
  return group.toString(16);
}
