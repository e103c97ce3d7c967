// SPDX-License-Identifier: MIT
//
// How the Worker hands an upgrade to the object that it is for. The request is a new one, so that nothing of a
// stranger's header gets there but what was looked at. index.ts encodes, exit_socket.ts and pair.ts decode. Pure.

export type Inner =
  | { kind: "exit"; room: string; instance: string; authority: string; source: string }
  | { kind: "client"; room: string; pair: string; source: string; instance: string | null }
  | { kind: "pair"; room: string; pair: string };

export function encodeInner(inner: Inner): Request {
  const url = `https://object/?${encodeURIComponent(JSON.stringify(inner))}`;
  return new Request(url, { headers: { Upgrade: "websocket" } });
}

export function decodeInner(request: Request): Inner {
  return JSON.parse(decodeURIComponent(request.url.slice(request.url.indexOf("?") + 1))) as Inner;
}
