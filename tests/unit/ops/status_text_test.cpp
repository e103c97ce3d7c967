// SPDX-License-Identifier: MIT
//
// Status for people: units, the lines of a client and an exit, and JSON that is not what it should be.
#include "ops/status_text.hpp"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace zks::ops {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(StatusTextTest, Durations) {
  EXPECT_EQ(duration_text(-1), "0 s");
  EXPECT_EQ(duration_text(59.9), "59 s");
  EXPECT_EQ(duration_text(60), "1 min");
  EXPECT_EQ(duration_text(125), "2 min 5 s");
  EXPECT_EQ(duration_text(7'980), "2 h 13 min");
  EXPECT_EQ(duration_text(4 * 86'400 + 7 * 3'600 + 59), "4 d 7 h");
  for (const double huge : {7.6e99, std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(duration_text(huge), "11574074074 d 1 h");
    EXPECT_EQ(duration_text(-huge), "0 s");
  }
  EXPECT_EQ(duration_text(std::numeric_limits<double>::quiet_NaN()), "0 s");
}

TEST(StatusTextTest, Bytes) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1024), "1.0 KiB");
  EXPECT_EQ(bytes_text(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(bytes_text(1'258'291), "1.2 MiB");
  EXPECT_EQ(bytes_text(~std::uint64_t{0}), "16.0 EiB");
}

json client_status() {
  return json::parse(R"({
    "mode":"socks5","version":"0.1.0","pid":4711,"uptime_seconds":7980.5,"state":"up","metrics":"127.0.0.1:9464",
    "front_doors":[{"kind":"proxy","address":"127.0.0.1:1080","connections":3}],
    "client":{"state":"up","state_seconds":65,"state_since":"2026-11-24T20:11:05Z",
      "last_error":{"text":"the lane is gone","age_seconds":70,"at":"2026-11-24T20:11:00Z"},
      "lanes_wanted":2,"exit_instance":"Isp4mq7Hmx8",
      "counters":{"sessions":1,"reconnects":2,"resumes":2,"renewals":0,"lanes_lost":2,"failed_attempts":3},
      "traffic":{"streams":120,"stream_sent_bytes":1258291,"stream_received_bytes":2048,
        "lane_sent_bytes":1300000,"lane_received_bytes":3000,"lane_sent_records":30,"lane_received_records":20,"datagrams":{"sent":5,"received":4,"dropped_late":3,"dropped_full":2,"dropped_unknown":1}},
      "session":{"open_streams":3,"lanes":[{"number":7,"age_seconds":65,"rtt_milliseconds":12.34,
        "sending_epoch":1,"receiving_epoch":2,"sent_bytes":1048576,"received_bytes":1,
        "path":{"relay_url":"wss://relay.example:8443","address":"203.0.113.5:8443","proxy":null,
                "segment_bytes":1200,
                "tls":{"version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","pinned":true}}}]}}})");
}

TEST(StatusTextTest, AClient) {
  EXPECT_EQ(render_status(client_status()),
            R"(zks-tunnel-client socks5 0.1.0, process 4711, running for 2 h 13 min

proxy        127.0.0.1:1080, 3 connections
metrics      http://127.0.0.1:9464/metrics
state        up for 1 min 5 s, since 2026-11-24T20:11:05Z
last error   1 min 10 s ago: the lane is gone
relay        wss://relay.example:8443 at 203.0.113.5:8443, segments of 1200 bytes, TLSv1.3 TLS_AES_128_GCM_SHA256, key pinned
exit         instance Isp4mq7Hmx8
streams      3 open, 120 since the start; 1.2 MiB sent, 2.0 KiB received
datagrams    5 sent, 4 received; dropped: 3 late, 2 for lack of room, 1 without a flow
records      30 sent, 20 received; 1.2 MiB sent, 2.9 KiB received
so far       1 sessions, 2 reconnects (2 resumed), 0 renewals, 2 lanes lost, 3 failed attempts
lanes        1 of 2

LANE  AGE        RTT      EPOCH SENDING  RECEIVING  SENT     RECEIVED  RELAY
7     1 min 5 s  12.3 ms  1              2          1.0 MiB  1 B       wss://relay.example:8443
)");
}

TEST(StatusTextTest, AnExit) {
  const json status = json::parse(R"({"mode":"exit-peer","version":"0.1.0","pid":1,"uptime_seconds":5,
    "exit":{"state":"up","room":"abc","instance":"def","max_sessions":128,"live_sessions":1,"orphans":1,
      "relays":[{"relay_url":"ws://a:1","registered":false,"state_seconds":9,"last_error":{"text":"refused",
                 "age_seconds":1},"path":null}],
      "counters":{"knocks":4,"sessions":2,"resumes":1,"refused_clients":{"not_invited":3},"failed_streams":{}},
      "traffic":{"streams":1},
      "sessions":[{"invite":"alice","since":"2026-11-24T20:11:05Z","orphaned":true,"invite_used_bytes":2048,"invite_quota_bytes":4096,"lanes":[],"open_streams":2,
                   "traffic":{"streams":5,"lane_sent_bytes":1,"lane_received_bytes":2}}]}})");
  const std::string text = render_status(status);
  EXPECT_THAT(text,
              HasSubstr("relay        ws://a:1, not registered for 9 s\nlast error   1 s ago: refused\n"));
  EXPECT_THAT(text, HasSubstr("refused      clients: not_invited 3\n             streams: none\n"));
  EXPECT_THAT(text,
              HasSubstr("sessions     1 of at most 128, 1 of them away; 2 since the start, 1 times resumed"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "alice   2026-11-24T20:11:05Z  away   -    2        5       1 B   2 B       2.0 KiB of 4.0 KiB\n"));
}

TEST(StatusTextTest, ATunDevice) {
  json status = client_status();
  status["mode"] = "vpn";
  status["front_doors"] = json::parse(R"([{"kind":"tun","address":"zks0","connections":3}])");
  status["tun"] = json::parse(R"({"connections":3,"flows":2,"opened":40,"refused":1,"datagrams_sent":7,
    "datagrams_received":6,"pings":5,"pings_answered":4,"dns_queries":9,"unreachable":8,
    "dropped":{"malformed":2,"device_full":0},"malformed":{"wrong UDP checksum":2},
    "set_up":{"tun":"zks0","ipv4":"198.18.0.1","ipv6":"2001:2::1","mtu":1500,"offloads":{"tcp":true,"udp":true},
      "routes":["0.0.0.0/0","::/0"],"excludes":["10.0.0.0/8"],"uids":[{"first":1000,"last":1000},{"first":2,"last":9}],
      "dns":["198.18.0.2","2001:2::2"],"name_service":"/etc/resolv.conf","kill_switch":true}})");
  EXPECT_THAT(render_status(status), HasSubstr(R"(tun          zks0, 3 connections
metrics      http://127.0.0.1:9464/metrics
device       zks0, 198.18.0.1, 2001:2::1, MTU 1500, segmentation offload for TCP and UDP
routes       in: 0.0.0.0/0, ::/0
             around: 10.0.0.0/8
users        1000, 2-9
names        at 198.18.0.2, 2001:2::2, by /etc/resolv.conf
kill switch  on
tcp          3 open, 40 opened and 1 refused since the start
udp          2 flows; 7 sent, 6 received
pings        5, 4 answered; 9 name queries; 8 packets answered as unreachable
dropped      device_full 0, malformed 2
malformed    wrong UDP checksum 2
state        up for)"));
  json& set_up = status["tun"]["set_up"];
  set_up["ipv6"] = nullptr;
  set_up["uids"] = set_up["excludes"] = json::array();
  set_up["name_service"] = "unchanged";
  set_up["kill_switch"] = false;
  set_up["offloads"]["tcp"] = set_up["offloads"]["udp"] = false;
  set_up["routes"] = std::vector<std::string>(4096, "192.0.2.0/24");
  const std::string text = render_status(status);
  EXPECT_THAT(text, HasSubstr("zks0, 198.18.0.1, MTU 1500, segmentation offload for nothing\n"));
  EXPECT_THAT(text, HasSubstr("192.0.2.0/24 and 4088 more\n             around: nothing\n"));
  EXPECT_THAT(text, HasSubstr("users        everybody\nnames        left alone\nkill switch  off\n"));
}

// A program of another version, or one that lies: nothing is thrown, nothing reaches the terminal as a
// control.
TEST(StatusTextTest, WhatIsMissingOrOddIsShownAsSuch) {
  EXPECT_THAT(render_status(json::object()), HasSubstr("process ?"));
  EXPECT_NO_THROW(render_status(json::parse(R"({"client":{},"exit":{},"tun":{}})")));
  EXPECT_NO_THROW(render_status(json::parse(
      R"({"tun":{"set_up":{"routes":[1,{}],"uids":["a",[]],"offloads":7,"dns":"x"},"dropped":[],"malformed":{"\u001b":"x"}}})")));
  EXPECT_NO_THROW(render_status(json::parse(
      R"({"client":{"session":{"lanes":7},"counters":[]},"exit":{"relays":[1],"sessions":{"a":1},"counters":""}})")));
  json odd = client_status();
  odd["mode"] = "so\x1b[2Jcks\n";
  EXPECT_THAT(render_status(odd), HasSubstr("so?[2Jcks?"));
  const json whole = client_status();
  for (const auto& [name, value] : whole["client"].items()) {
    json without = client_status();
    without["client"].erase(name);
    EXPECT_NO_THROW(render_status(without)) << name;
    without["client"][name] = "text";
    EXPECT_NO_THROW(render_status(without)) << name;
  }
}

}  // namespace
}  // namespace zks::ops
