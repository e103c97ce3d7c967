// SPDX-License-Identifier: MIT
#include "host/journal.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "../support/temporary_directory.hpp"

namespace zks::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Change kResolvConf = ResolvConfChange{.path = "/etc/resolv.conf",
                                            .before = ResolvConfChange::Form::kFile,
                                            .content = std::string("nameserver 192.0.2.1\n\xff\0", 23),
                                            .mode = 0644,
                                            .owner = 1,
                                            .group = 2,
                                            .ours = "nameserver 198.18.0.2\n",
                                            .mounted_from = "/etc/netns/one/resolv.conf"};
const Change kRouting = RoutingChange{{*parse_ip_address("192.0.2.1"), *parse_ip_address("2001:db8::1")}};
const Change kMarkChange = MarkCheckChange{.before = "0"};

class JournalFile : public testing::Test {
 protected:
  Journal open() { return Journal::open(path_).value(); }
  void write(const std::string& text) {
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), 0600);
  }

  test::TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "journal.json";
};

TEST(JournalText, IsTheSameAfterDecoding) {
  const std::vector<Change> changes{FirewallChange{},
                                    kMarkChange,
                                    kRouting,
                                    kResolvConf,
                                    ResolvConfChange{.path = "x", .before = ResolvConfChange::Form::kLink},
                                    ResolvedDomainsChange{"eth0", {{"lan", false}, {".", true}}}};
  const std::string text = encode(changes);
  const auto decoded = decode(text);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(*decoded, changes);
  EXPECT_EQ(encode(*decoded), text);
}

TEST(JournalText, OfVersionOne) {
  const auto decoded = decode(
      R"({"version": 1, "changes": [{"change": "firewall"}, {"change": "routing", "addresses": ["192.0.2.1", "2001:db8::1"]},
    {"change": "src_valid_mark", "before": "0"},
    {"change": "resolv_conf", "path": "/r", "before": "link", "content": "2e2e2f61", "mode": 511, "owner": 0,
     "group": 0, "ours": "62"}]})");
  ASSERT_TRUE(decoded.has_value());
  EXPECT_THAT(*decoded, ElementsAre(Change(FirewallChange{}), kRouting, kMarkChange,
                                    Change(ResolvConfChange{.path = "/r",
                                                            .before = ResolvConfChange::Form::kLink,
                                                            .content = "../a",
                                                            .mode = 0777,
                                                            .ours = "b"})));
}

TEST(JournalText, IsRefusedWhenCut) {
  const std::string text = encode({FirewallChange{}, kResolvConf});
  const std::size_t whole = text.find_last_of('}') + 1;
  for (std::size_t size = 0; size < whole; ++size) EXPECT_FALSE(decode(text.substr(0, size))) << size;
}

TEST(JournalText, IsRefusedWhenItIsSomethingElse) {
  for (const char* text :
       {"[]", "{}", R"({"version": 2, "changes": []})", R"({"version": 1})",
        R"({"version": 1, "changes": [{"change": "sysctl"}]})",
        R"({"version": 1, "changes": [{"change": "src_valid_mark"}]})",
        R"({"version": 1, "changes": [{"change": 7}]})", R"({"version": 1, "changes": [7]})",
        R"({"version": 1, "changes": [{"change": "resolv_conf", "path": "x"}]})"}) {
    EXPECT_FALSE(decode(text)) << text;
  }
}

TEST(JournalText, HasNumbersThatFit) {
  for (const char* mode : {"420", "4294967296", "1e99", "420.5", "-1", "true", "\"420\""}) {
    const std::string text =
        std::string(R"({"version": 1, "changes": [{"change": "resolv_conf", "path": "/r", "before": "link",
                        "content": "61", "owner": 0, "group": 0, "ours": "62", "mode": )") +
        mode + "}]}";
    EXPECT_EQ(decode(text).has_value(), std::string(mode) == "420") << mode;
  }
}

TEST_F(JournalFile, KeepsChangesInOrder) {
  Journal journal = open();
  EXPECT_THAT(journal.changes(), IsEmpty());
  ASSERT_TRUE(journal.append(FirewallChange{}));
  ASSERT_TRUE(journal.append(kResolvConf));
  EXPECT_THAT(open().changes(), ElementsAre(Change(FirewallChange{}), kResolvConf));
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);

  ASSERT_TRUE(journal.keep({kMarkChange}));
  EXPECT_THAT(open().changes(), ElementsAre(kMarkChange));
  ASSERT_TRUE(journal.keep({}));
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_TRUE(journal.keep({}));
}

TEST_F(JournalFile, HoldsTheLargestResolvConf) {
  ASSERT_TRUE(open().append(ResolvConfChange{.path = "x", .content = std::string(64 * 1024, '\xff')}));
  EXPECT_EQ(open().changes().size(), 1u);
}

TEST_F(JournalFile, IsNotReadWhenOthersMayWriteIt) {
  write(encode({FirewallChange{}}));
  ASSERT_TRUE(Journal::open(path_));
  for (const mode_t mode : {0620, 0602}) {
    ::chmod(path_.c_str(), mode);
    EXPECT_FALSE(Journal::open(path_)) << mode;
  }
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("elsewhere", path_);
  EXPECT_FALSE(Journal::open(path_));
}

TEST_F(JournalFile, SaysWhatToDoWhenItIsDamaged) {
  write("{");
  const auto journal = Journal::open(path_);
  ASSERT_FALSE(journal.has_value());
  EXPECT_THAT(journal.error().text, HasSubstr("remove the file"));
}

TEST_F(JournalFile, ThatCannotBeWrittenHasNoChange) {
  Journal journal(directory_.path() / "none" / "journal.json");
  EXPECT_FALSE(journal.append(FirewallChange{}));
  EXPECT_THAT(journal.changes(), IsEmpty());
}

}  // namespace
}  // namespace zks::host
