// SPDX-License-Identifier: MIT
//
// What the processes of vpn say to each other, over pairs of SOCK_SEQPACKET sockets: JSON, one object a
// message. Those without rights, which everybody on the network can reach, are not believed (requests.hpp).
// The worker asks:
//
//   {"do":"prepared"}                                        -> {"do":"begin"} and a file: what was set up
//   {"id":1,"do":"socket","family":4}                        -> {"id":1} and a descriptor, of TCP
//   {"id":2,"do":"look_up","host":"relay.example","port":443} -> {"id":2,"addresses":["192.0.2.1"]}
//   {"do":"up","lines":["..."]}                              no answer: what the ready file shall say
//   {"do":"alive"}                                           no answer: its loop runs
//
// and {"id":N,"error":"..."} when it can't be had. The name process says {"do":"prepared"}, then it is asked:
//
//   {"id":1,"do":"resolve","host":"relay.example","servers":"192.0.2.53"}
//                                                            -> {"id":1,"addresses":["..."],"failure":0}
//
// and meanwhile it asks, with ids of its own, for a socket for each query:
//
//   {"id":1,"do":"socket","family":4,"udp":true}             -> {"id":1} and a descriptor
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "vpn/requests.hpp"

namespace zks::vpn {

struct Message {
  nlohmann::json body;
  Fd fd;  // perhaps
};

// kClosed: the other process is gone. kLimit: the message is too long or the other does not read.
Result<> send_message(int socket, const nlohmann::json& body, int fd = -1);
// The same with a text of any length, as a file in memory.
Result<> send_file(int socket, const nlohmann::json& body, const std::string& text);
Result<std::string> read_file(const Fd& file);
// A descriptor costs whom it was sent to, read or not: whoever waits for none takes none (unix(7)).
enum class Descriptors { kRefused, kOne };
// Nothing: none is waiting. kClosed as above; kProtocol: not an object, or with more descriptors than may be.
Result<std::optional<Message>> receive_message(int socket, Descriptors descriptors = Descriptors::kRefused);

}  // namespace zks::vpn
