// SPDX-License-Identifier: MIT
//
// The least that a relay in this runtime can do: one Durable Object that hands each message of one socket to the other.
// scripts/bench splice measures the Worker against it. No protocol, no limits, no hibernation.
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

function join(from, to) {
  from.addEventListener("message", (event) => to.send(event.data));
  from.addEventListener("close", () => to.close(1000));
}

export default {
  fetch(request, env) {
    return env.SPLICE.get(env.SPLICE.idFromName(new URL(request.url).pathname)).fetch(request);
  },
};
