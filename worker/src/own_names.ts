// SPDX-License-Identifier: MIT
//
// Whether a registration's Host header names this relay (PROTOCOL.md, "Registration"): a relay could otherwise have
// another relay's challenge signed under its own name. Used by index.ts. Pure.

// Every name: for a platform that hands over only requests for the hostnames that its owner configured.
export const ANY_NAME = "*";
// A DNS name has at most 253 characters, a port 6.
const MAX_AUTHORITY = 260;

export function isOwnName(authority: string, names: readonly string[]): boolean {
  if (authority === "" || authority.length > MAX_AUTHORITY) return false;
  const host = /^(\[[0-9a-fA-F:.]+\]|[^[\]:]+)(:[0-9]{1,5})?$/.exec(authority)?.[1];
  if (host === undefined) return false;
  const name = host.replace(/^\[|\]$/g, "").toLowerCase();
  return names.includes(ANY_NAME) || names.includes(name);
}
