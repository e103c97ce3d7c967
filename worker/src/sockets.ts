// SPDX-License-Identifier: MIT
//
// What exit_socket.ts and pair.ts do alike with their sockets: accept one so that it outlives the object's memory, and close
// one whatever state it is in.

// The runtime answers these without waking the object.
export const PING = "ping";
const PONG = "pong";

export function answerPings(ctx: DurableObjectState): void {
  ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
}

// The relay's end of a new WebSocket, and the response that gives the other end to the peer.
export function accept(ctx: DurableObjectState): { socket: WebSocket; response: Response } {
  const { 0: peers, 1: socket } = new WebSocketPair();
  // The default since compatibility date 2026-03-17 is a Blob, which can be neither read nor sent on at once.
  socket.binaryType = "arraybuffer";
  ctx.acceptWebSocket(socket);
  return { socket, response: new Response(null, { status: 101, webSocket: peers }) };
}

// Nothing depends on whether it still was open: its own close event comes in any case.
export function close(socket: WebSocket, code: number): void {
  try {
    socket.close(code);
  } catch {
    // Closed before.
  }
}
