# SPDX-License-Identifier: MIT
#
# The Worker on a self-hosted workerd. Every setting is an environment variable of the same name with ZKS_ in front
# (docs/guide/worker.md lists them), so that this file need not be edited; `serve` sets them from its options, and adds
# the socket: `workerd serve workerd.capnp plaintext --socket-addr main=127.0.0.1:8080` is this file by itself.
using Workerd = import "/workerd/workerd.capnp";

const services :List(Workerd.Service) = [(name = "relay", worker = .relay)];

const plaintext :Workerd.Config = (
  services = .services,
  sockets = [(name = "main", service = "relay", http = ())],
);

const relay :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "dist/worker.mjs")],
  compatibilityDate = "2026-11-17",
  # The protocol has no extensions: sealed records don't get smaller, and a peer could make a little inflate to much.
  compatibilityFlags = ["no_web_socket_compression"],
  bindings = [
    (name = "EXIT", durableObjectNamespace = "ExitSocket"),
    (name = "ROOM", durableObjectNamespace = "Room"),
    (name = "PAIR", durableObjectNamespace = "Pair"),
    (name = "PAIR_KEY", durableObjectNamespace = "PairKey"),
    (name = "ALLOW_ROOMS", fromEnvironment = "ZKS_ALLOW_ROOMS"),
    (name = "DEBUG_COUNTERS", fromEnvironment = "ZKS_DEBUG_COUNTERS"),
    (name = "IDLE_SECONDS", fromEnvironment = "ZKS_IDLE_SECONDS"),
    (name = "JOIN_RATE", fromEnvironment = "ZKS_JOIN_RATE"),
    (name = "MAX_HELD_BYTES", fromEnvironment = "ZKS_MAX_HELD_BYTES"),
    (name = "MAX_PAIRS_PER_ROOM", fromEnvironment = "ZKS_MAX_PAIRS_PER_ROOM"),
    (name = "MAX_PAIRS_PER_SOURCE", fromEnvironment = "ZKS_MAX_PAIRS_PER_SOURCE"),
    (name = "RELAY_NAMES", fromEnvironment = "ZKS_RELAY_NAMES"),
    # Storage in memory is lost with the object. No setting: src/room_store.ts says what it does.
    (name = "ROOM_STATE", text = "isolate"),
    (name = "ROTATE_BYTES", fromEnvironment = "ZKS_ROTATE_BYTES"),
    (name = "ROTATE_SECONDS", fromEnvironment = "ZKS_ROTATE_SECONDS"),
    (name = "SOURCE_HEADER", fromEnvironment = "ZKS_SOURCE_HEADER"),
    (name = "TRUSTED_PROXIES", fromEnvironment = "ZKS_TRUSTED_PROXIES"),
    (name = "WINDOW_BYTES", fromEnvironment = "ZKS_WINDOW_BYTES"),
    (name = "WRITE_SECONDS", fromEnvironment = "ZKS_WRITE_SECONDS"),
  ],
  # Nothing is stored on disk. The unique keys only keep the kinds of objects apart, and no object dials out.
  durableObjectNamespaces = [
    (className = "ExitSocket", uniqueKey = "zks-exit-socket"),
    (className = "Room", uniqueKey = "zks-room"),
    (className = "Pair", uniqueKey = "zks-pair"),
    (className = "PairKey", uniqueKey = "zks-pair-key", preventEviction = true),
  ],
  durableObjectStorage = (inMemory = void),
);
