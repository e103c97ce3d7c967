// SPDX-License-Identifier: MIT
//
// The text messages between this relay and an end (PROTOCOL.md, "Control messages"). Only what an end may send is
// decoded, only what a relay sends is encoded; `ping` never gets here, the runtime answers it. Strict, since the text
// is a stranger's: two readers of a doubled member could each believe another one. Pure.
import { decodeBase64url } from "./base64url";

const MAX_BYTES = 1_024;
// Ours are flat; members of a later version may nest a little.
const MAX_DEPTH = 4;

export type FromEnd =
  | { type: "register"; roomKey: Uint8Array; signature: Uint8Array }
  | { type: "key_seen"; epoch: number }
  | { type: "mark"; id: string };

export function encodeChallenge(nonce: string): string {
  return `{"type":"challenge","nonce":"${nonce}"}`;
}

export function encodeRegistered(): string {
  return `{"type":"registered"}`;
}

export function encodeKnock(pair: string): string {
  return `{"type":"knock","pair":"${pair}"}`;
}

export function encodePaired(remoteKey: string, window: number): string {
  return `{"type":"paired","version":1,"epoch":0,"remote_key":"${remoteKey}","window":${window}}`;
}

export function encodeKey(epoch: number, remoteKey: string): string {
  return `{"type":"key","epoch":${epoch},"remote_key":"${remoteKey}"}`;
}

export function encodeMark(id: string): string {
  return `{"type":"mark","id":"${id}"}`;
}

// The message, or null when the text is not one that an end may send.
export function decodeControl(text: string): FromEnd | null {
  const members = parseMembers(text);
  if (members === null) return null;
  switch (textMember(members, "type")) {
    case "register": {
      const roomKey = decodeBase64url(textMember(members, "room_key") ?? "", 32);
      const signature = decodeBase64url(textMember(members, "signature") ?? "", 64);
      return roomKey && signature ? { type: "register", roomKey, signature } : null;
    }
    case "key_seen": {
      const epoch = integerMember(members, "epoch");
      return epoch === null ? null : { type: "key_seen", epoch };
    }
    case "mark": {
      const id = textMember(members, "id");
      return id !== null && /^[A-Za-z0-9_-]{1,64}$/.test(id) ? { type: "mark", id } : null;
    }
    default:
      return null;
  }
}

// The members of the object that `text` is, each as it is spelt; null when it is none, or not a sound one.
function parseMembers(text: string): Map<string, string> | null {
  if (text.length > MAX_BYTES || new TextEncoder().encode(text).length > MAX_BYTES) return null;
  try {
    JSON.parse(text); // the grammar; what it returns has lost doubled members and the spelling of numbers
  } catch {
    return null;
  }
  const members = new Map<string, string>();
  let depth = 0;
  let name: string | null = null;
  let key: string | null = null;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g)) {
    if (token === "}" || token === "]") {
      depth--;
    } else if (token === ":") {
      if (depth === 1) name = key;
    } else if (token !== ",") {
      if (depth > MAX_DEPTH) return null;
      if (depth === 0 && token !== "{") return null;
      if (depth === 1) {
        if (name === null) {
          key = JSON.parse(token) as string;
          if (members.has(key)) return null;
          members.set(key, "");
        } else {
          members.set(name, token);
          name = null;
        }
      }
      if (token === "{" || token === "[") depth++;
    }
  }
  return members;
}

function textMember(members: Map<string, string>, name: string): string | null {
  const token = members.get(name);
  return token?.startsWith('"') ? (JSON.parse(token) as string) : null;
}

function integerMember(members: Map<string, string>, name: string): number | null {
  const token = members.get(name);
  if (token === undefined || !/^(0|[1-9][0-9]{0,15})$/.test(token)) return null;
  return Number.isSafeInteger(Number(token)) ? Number(token) : null;
}
