// SPDX-License-Identifier: MIT
#include "relay/route.hpp"

#include <gtest/gtest.h>

#include "../carrier/certificate.hpp"
#include "relay/allow_list.hpp"

namespace zks::relay {
namespace {

const std::string kRoomText(32, 'a');  // twenty zero bytes
const std::string kBase = "/v1/rooms/" + kRoomText;

TEST(Route, ReadsEachRoute) {
  EXPECT_TRUE(std::holds_alternative<HealthRoute>(parse_route("/healthz")));
  const auto exit = std::get<ExitRoute>(parse_route(kBase + "/exit?instance=AAAAAAAAAAA"));
  EXPECT_EQ(exit.room, RoomId{});
  EXPECT_EQ(exit.instance, InstanceId{});
  EXPECT_FALSE(std::get<ClientRoute>(parse_route(kBase + "/client")).instance);
  EXPECT_EQ(std::get<ClientRoute>(parse_route(kBase + "/client?instance=AAAAAAAAAAA")).instance,
            InstanceId{});
  EXPECT_EQ(std::get<PairRoute>(parse_route(kBase + "/pairs/" + std::string(22, 'A'))).pair, PairId{});
}

TEST(Route, EveryCutAndEveryChangedByteIsAnotherRouteOrNone) {
  for (const std::string& target :
       {std::string("/healthz"), kBase + "/exit?instance=AAAAAAAAAAA", kBase + "/client",
        kBase + "/client?instance=AAAAAAAAAAA", kBase + "/pairs/" + std::string(22, 'A')}) {
    const Route whole = parse_route(target);
    for (std::size_t size = 0; size < target.size(); ++size) {
      const Route cut = parse_route(target.substr(0, size));
      EXPECT_TRUE(cut.index() == 0 || target.substr(0, size) == kBase + "/client");
    }
    for (std::size_t at = 0; at < target.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string changed = target;
        changed[at] = static_cast<char>(value);
        const Route route = parse_route(changed);
        if (route.index() == 0 || changed == target) continue;
        // Only the room, instance or pair can differ.
        EXPECT_EQ(route.index(), whole.index()) << changed;
      }
    }
  }
}

TEST(AllowList, ReadsRoomsAndComments) {
  const auto rooms =
      parse_rooms("# mine\n\n  " + kRoomText + "\t# first\r\n" + std::string(32, 'b') + "").value();
  EXPECT_EQ(rooms.size(), 2U);
  EXPECT_TRUE(rooms.contains(RoomId{}));
  EXPECT_TRUE(parse_rooms("").value().empty());
  const auto wrong = parse_rooms(kRoomText + "\nnot a room\n");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().text.find("line 2"), std::string::npos);
}

TEST(AllowList, KeepsWhatItHasWhenTheFileIsBroken) {
  EXPECT_TRUE(AllowList("").allows(RoomId{}));
  test::TemporaryFile file(kRoomText + "\n");
  AllowList list(file.path());
  EXPECT_FALSE(list.allows(RoomId{})) << "not read yet";
  ASSERT_TRUE(list.reload());
  EXPECT_TRUE(list.allows(RoomId{}));
  file.write("broken");
  EXPECT_FALSE(list.reload());
  EXPECT_TRUE(list.allows(RoomId{}));
  file.write("");  // cut off: nobody decided that no room is allowed
  EXPECT_FALSE(list.reload());
  EXPECT_TRUE(list.allows(RoomId{}));
  EXPECT_TRUE(AllowList(file.path()).reload()) << "at the start there is nothing to keep";
  EXPECT_FALSE(AllowList("/nonexistent").reload());
}

}  // namespace
}  // namespace zks::relay
