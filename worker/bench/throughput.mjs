// SPDX-License-Identifier: MIT
//
// Megabytes a second from one half of a pair to the other, over loopback without TLS: through the Worker, and through
// splice.mjs in the same run, the two taking turns. `npm run bench`, or with sizes in KiB: `npm run bench -- 4 64`.
import { spawn } from "node:child_process";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdtempSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const WORKER = join(dirname(fileURLToPath(import.meta.url)), "..");
const SECONDS = 2;
const ROUNDS = 3;
const WINDOW = 3 << 20; // three quarters of what the Worker announces, as the ends use it
const ACKNOWLEDGE_EVERY = 256 << 10;
const SIZES_KIB = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [4, 16, 64, 256];

// A WebSocket that costs next to nothing: frames are written as they are and read without looking inside binary ones.
class Peer {
  received = 0;
  early = []; // texts that came before anyone listened
  onText = (text) => this.early.push(text);
  onBinary = () => {};
  held = Buffer.alloc(0);
  skip = 0; // bytes of a binary message that have yet to come

  static open(port, path) {
    const peer = new Peer();
    const key = randomBytes(16).toString("base64");
    peer.socket = connect({ port, host: "127.0.0.1", noDelay: true }, () => {
      peer.socket.write(
        `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
      );
    });
    return new Promise((resolve, reject) => {
      let answer = Buffer.alloc(0);
      const onAnswer = (bytes) => {
        answer = Buffer.concat([answer, bytes]);
        const end = answer.indexOf("\r\n\r\n");
        if (end < 0) return;
        peer.socket.off("data", onAnswer);
        if (!answer.toString("latin1", 0, 16).includes(" 101 ")) return reject(new Error(answer.toString("latin1")));
        peer.socket.on("data", (more) => peer.read(more));
        peer.read(answer.subarray(end + 4));
        resolve(peer);
      };
      peer.socket.on("data", onAnswer);
      peer.socket.on("error", reject);
    });
  }

  read(bytes) {
    const skipped = Math.min(this.skip, bytes.length);
    this.skip -= skipped;
    let data = this.held.length > 0 ? Buffer.concat([this.held, bytes]) : bytes.subarray(skipped);
    for (;;) {
      if (data.length < 2 || data.length < headerBytes(data[1])) break;
      const header = headerBytes(data[1]);
      const size = header === 2 ? data[1] : header === 4 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
      if (data[0] === 0x88) throw new Error(`closed with ${data.readUInt16BE(header)}`);
      if ((data[0] & 15) === 2) {
        this.received += size;
        this.skip = Math.max(0, header + size - data.length);
        this.onBinary();
      } else {
        if (data.length < header + size) break;
        this.onText(data.toString("utf8", header, header + size));
      }
      data = data.subarray(header + size);
    }
    this.held = data;
  }

  text(message) {
    this.socket.write(frame(1, Buffer.from(JSON.stringify(message))));
  }
}

function headerBytes(second) {
  return { 126: 4, 127: 10 }[second & 127] ?? 2;
}

// Masked with zeros, which leaves the payload as it is.
function frame(opcode, payload) {
  const size = payload.length;
  const header = Buffer.alloc((size < 126 ? 2 : size < 65_536 ? 4 : 10) + 4);
  header[0] = 0x80 | opcode;
  header[1] = 0x80 | (size < 126 ? size : size < 65_536 ? 126 : 127);
  if (size >= 65_536) header.writeBigUInt64BE(BigInt(size), 2);
  else if (size >= 126) header.writeUInt16BE(size, 2);
  return Buffer.concat([header, payload]);
}

function nextText(peer) {
  if (peer.early.length > 0) return JSON.parse(peer.early.shift());
  return new Promise((resolve) => {
    peer.onText = (text) => resolve(JSON.parse(text));
  });
}

async function pairOfSplice(port) {
  const path = `/${randomBytes(8).toString("hex")}`;
  return [await Peer.open(port, path), await Peer.open(port, path)];
}

async function pairOfWorker(port) {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const roomKey = Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url");
  const id = createHash("sha256").update("zks/1 room").update(roomKey).digest().subarray(0, 20);
  const room = `/v1/rooms/${base32(id)}`;
  const instance = randomBytes(8);
  const control = await Peer.open(port, `${room}/exit?instance=${instance.toString("base64url")}`);
  const { nonce } = await nextText(control);
  const authority = createHash("sha256").update(`localhost:${port}`).digest();
  const signed = Buffer.concat([
    Buffer.from("zks/1 register"),
    Buffer.from(nonce, "base64url"),
    authority,
    id,
    instance,
  ]);
  const answered = nextText(control);
  const signature = sign(null, signed, privateKey).toString("base64url");
  control.text({ type: "register", room_key: roomKey.toString("base64url"), signature });
  await answered;
  const knocked = nextText(control);
  const client = await Peer.open(port, `${room}/client`);
  const { pair } = await knocked;
  const exit = await Peer.open(port, `${room}/pairs/${pair}`);
  await nextText(exit);
  await nextText(client);
  for (const half of [client, exit]) half.onText = (text) => half.text(answerTo(JSON.parse(text)));
  return [client, exit, control];
}

// A mark comes back as it is.
function answerTo(message) {
  return message.type === "key" ? { type: "key_seen", epoch: message.epoch } : message;
}

function base32(bytes) {
  let bits = "";
  for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
  return bits
    .match(/.{5}/g)
    .map((five) => "abcdefghijklmnopqrstuvwxyz234567"[Number.parseInt(five, 2)])
    .join("");
}

async function measure([client, exit, ...others], bytes) {
  const message = frame(2, randomBytes(bytes));
  const acknowledgement = frame(2, randomBytes(8));
  let [sent, acknowledged, toAcknowledge] = [0, 0, ACKNOWLEDGE_EVERY];
  const send = () => {
    while (sent - acknowledged < WINDOW) {
      client.socket.write(message);
      sent += bytes;
    }
  };
  // Behind the echoes of the marks, as an end's acknowledgements are.
  exit.onBinary = () => {
    if (exit.received < toAcknowledge) return;
    toAcknowledge += ACKNOWLEDGE_EVERY;
    exit.socket.write(acknowledgement);
  };
  client.onBinary = () => {
    acknowledged += ACKNOWLEDGE_EVERY;
    send();
  };
  send();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const [received, began] = [exit.received, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1_000));
  const rate = (exit.received - received) / (performance.now() - began) / 1_000;
  for (const peer of [client, exit, ...others]) peer.socket.destroy();
  return rate;
}

function start(program, args, directory) {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit", "pipe"], cwd: directory });
  return new Promise((resolve, reject) => {
    child.on("exit", () => reject(new Error(`${program} ended`)));
    child.stdio[3].on("data", (line) => resolve({ child, port: JSON.parse(line.toString().split("\n")[0]).port }));
  });
}

async function startWorker() {
  const directory = mkdtempSync(join(tmpdir(), "zks-bench-"));
  const ready = join(directory, "ready");
  const child = spawn(
    join(WORKER, "serve"),
    ["--plaintext", "--listen", "127.0.0.1:0", "--join-rate", "0", "--ready-file", ready],
    {
      stdio: "ignore",
    },
  );
  for (let i = 0; i < 200; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    try {
      return { child, port: Number(readFileSync(ready, "utf8").trim().split(":").pop()) };
    } catch {}
  }
  throw new Error("serve is not ready");
}

const workerd = join(WORKER, "node_modules/workerd/bin/workerd");
const splice = await start(
  workerd,
  ["serve", "splice.capnp", "--socket-addr", "main=127.0.0.1:0", "--control-fd", "3"],
  join(WORKER, "bench"),
);
const worker = await startWorker();
process.on("exit", () => {
  for (const { child } of [splice, worker]) child.kill("SIGKILL");
});
const median = (rates) => rates.toSorted((a, b) => a - b)[rates.length >> 1];
console.log("message KiB   Worker MB/s   bare splice MB/s   ratio");
for (const kib of SIZES_KIB) {
  const rates = { worker: [], splice: [] };
  for (let round = 0; round < ROUNDS; round++) {
    rates.worker.push(await measure(await pairOfWorker(worker.port), kib << 10));
    rates.splice.push(await measure(await pairOfSplice(splice.port), kib << 10));
  }
  const [ours, bare] = [median(rates.worker), median(rates.splice)];
  const cells = [
    `${kib}`.padStart(11),
    ours.toFixed(0).padStart(13),
    bare.toFixed(0).padStart(18),
    (ours / bare).toFixed(2).padStart(7),
  ];
  console.log(cells.join(" "));
}
process.exit(0);
