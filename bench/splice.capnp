# SPDX-License-Identifier: MIT
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "splice", worker = .splice)],
  sockets = [(name = "main", service = "splice", http = ())],
);

const splice :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "splice.mjs")],
  compatibilityDate = "2026-11-17",
  compatibilityFlags = ["no_web_socket_compression"],
  bindings = [
    (name = "SPLICE", durableObjectNamespace = "Splice"),
    (name = "HIBERNATING", durableObjectNamespace = "HibernatingSplice"),
  ],
  durableObjectNamespaces = [
    (className = "Splice", uniqueKey = "zks-bench-splice"),
    (className = "HibernatingSplice", uniqueKey = "zks-bench-hibernating"),
  ],
  durableObjectStorage = (inMemory = void),
);
