// SPDX-License-Identifier: MIT
//
// The least that an object can do between two hibernating sockets: what throughput.mjs measures pair.ts against.
import { DurableObject } from "cloudflare:workers";

export class Splice extends DurableObject {
  other = new Map();

  async fetch() {
    const { 0: peer, 1: socket } = new WebSocketPair();
    socket.binaryType = "arraybuffer";
    this.ctx.acceptWebSocket(socket);
    const [one, two] = this.ctx.getWebSockets();
    if (two)
      this.other = new Map([
        [one, two],
        [two, one],
      ]);
    return new Response(null, { status: 101, webSocket: peer });
  }

  webSocketMessage(socket, message) {
    this.other.get(socket)?.send(message);
  }

  webSocketClose(socket) {
    socket.close(1000);
  }
}

export default {
  fetch: (request, env) => env.SPLICE.get(env.SPLICE.idFromName(new URL(request.url).pathname)).fetch(request),
};
