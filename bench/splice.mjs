// SPDX-License-Identifier: MIT
//
// The least that a relay in this runtime can do: one Durable Object that hands each message of one socket to the other,
// held in memory by its sockets, or with sockets that outlive it, as the Worker's do: then the runtime makes a request
// of each message. scripts/bench splice measures the Worker against both. No protocol, no limits.
import { DurableObject } from "cloudflare:workers";

export class Splice extends DurableObject {
  waiting = null;

  async fetch() {
    const { 0: peers, 1: socket } = new WebSocketPair();
    socket.binaryType = "arraybuffer";
    socket.accept();
    if (this.waiting === null) {
      this.waiting = socket;
    } else {
      join(this.waiting, socket);
      join(socket, this.waiting);
      this.waiting.send("paired");
      socket.send("paired");
      this.waiting = null;
    }
    return new Response(null, { status: 101, webSocket: peers });
  }
}

export class HibernatingSplice extends DurableObject {
  async fetch() {
    const { 0: peers, 1: socket } = new WebSocketPair();
    socket.binaryType = "arraybuffer";
    this.ctx.acceptWebSocket(socket);
    this.sockets = this.ctx.getWebSockets();
    if (this.sockets.length === 2) for (const each of this.sockets) each.send("paired");
    return new Response(null, { status: 101, webSocket: peers });
  }

  webSocketMessage(socket, message) {
    this.sockets ??= this.ctx.getWebSockets();
    this.sockets[socket === this.sockets[0] ? 1 : 0].send(message);
  }

  webSocketClose() {
    for (const socket of this.ctx.getWebSockets()) socket.close(1000);
  }
}

function join(from, to) {
  from.addEventListener("message", (event) => to.send(event.data));
  from.addEventListener("close", () => to.close(1000));
}

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    const splices = pathname.startsWith("/hibernating/") ? env.HIBERNATING : env.SPLICE;
    return splices.get(splices.idFromName(pathname)).fetch(request);
  },
};
