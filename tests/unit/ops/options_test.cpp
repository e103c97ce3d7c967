// SPDX-License-Identifier: MIT
//
// The command line and the config file together: precedence, what is refused, and that no error repeats a
// value that may be secret.
#include "ops/options.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/log_output.hpp"
#include "ops/config_file.hpp"

namespace zks::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
  std::optional<int> status;
  std::string out;
  std::string err;
  std::string link;
  std::string user;
  std::vector<std::string> headers;
  std::size_t streams = 10;
  std::chrono::seconds pause{15};
  std::uint64_t rate = 0;
  bool log_destinations = false;
};

class Options : public testing::Test {
 protected:
  Options()
      : config_(std::filesystem::temp_directory_path() / ("zks-options-" + std::to_string(::getpid()))) {}
  ~Options() override { std::filesystem::remove(config_); }

  static Outcome parse(const std::vector<std::string>& arguments) {
    Outcome seen;
    CommandLine line("program mode", "Does a thing.", "Example:\n  program mode");
    line.add_log_options();
    line.app().add_option("link", seen.link, "the link");
    line.app().add_option("--user", seen.user, "user and password");
    line.app().add_flag("--log-destinations", seen.log_destinations, "log them");
    const Parser<std::string> header = [](std::string_view text) -> Result<std::string> {
      if (text.find(':') == std::string_view::npos) return make_error(ErrorKind::kUsage, "not 'Name: value'");
      return std::string(text);
    };
    add_parsed_list<std::string>(line.app(), "--header", seen.headers, header, "a header", "'K: V'");
    add_count(line.app(), "--max-streams", seen.streams, 1, 100, "streams");
    add_duration(line.app(), "--pause", seen.pause, "pause");
    add_bytes(line.app(), "--rate", seen.rate, "rate");
    std::vector<const char*> argv = {"program"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    seen.status = line.parse(static_cast<int>(argv.size()), argv.data());
    log::flush(std::chrono::seconds(20));
    seen.out = testing::internal::GetCapturedStdout();
    seen.err = testing::internal::GetCapturedStderr();
    return seen;
  }
  Outcome parse_config_file(const std::string& text, std::vector<std::string> arguments = {}) {
    std::ofstream(config_) << text;
    arguments.insert(arguments.end(), {"--config", config_.string()});
    return parse(arguments);
  }
  static void expect_usage_error(const Outcome& seen, const std::string& says) {
    EXPECT_EQ(seen.status, 2) << says;
    EXPECT_THAT(seen.err, HasSubstr(says));
    EXPECT_THAT(seen.err, testing::StartsWith("program mode: "));
    EXPECT_THAT(seen.err, testing::EndsWith("; try 'program mode --help'\n"));
    EXPECT_EQ(std::count(seen.err.begin(), seen.err.end(), '\n'), 1) << seen.err;
    EXPECT_EQ(seen.out, "");
  }
  std::filesystem::path config_;
};

TEST_F(Options, DefaultsStayAndValuesArrive) {
  const Outcome none = parse({});
  EXPECT_EQ(none.status, std::nullopt);
  EXPECT_EQ(none.streams, 10U);
  const Outcome all = parse({"--user", "a:b", "--header", "A: 1", "--header=B: 2", "zks://x", "--max-streams",
                             "7", "--pause", "2m", "--rate", "1MiB", "--log-destinations"});
  EXPECT_EQ(all.status, std::nullopt) << all.err;
  EXPECT_EQ(all.link, "zks://x");
  EXPECT_EQ(all.user, "a:b");
  EXPECT_THAT(all.headers, ElementsAre("A: 1", "B: 2"));
  EXPECT_EQ(all.streams, 7U);
  EXPECT_EQ(all.pause, std::chrono::minutes(2));
  EXPECT_EQ(all.rate, 1U << 20);
  EXPECT_TRUE(all.log_destinations);
}

TEST_F(Options, AHeaderDoesNotSwallowTheLink) {
  const Outcome seen = parse({"--header", "A: 1", "zks://x"});
  EXPECT_EQ(seen.status, std::nullopt) << seen.err;
  EXPECT_EQ(seen.link, "zks://x");
}

TEST_F(Options, HelpTeachesAndVersionSays) {
  const Outcome help = parse({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* part :
       {"Does a thing.", "Example:", "--max-streams", "N=10", "=15s", "=info", "--config"}) {
    EXPECT_THAT(help.out, HasSubstr(part));
  }
  const Outcome version = parse({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out, "program " ZKS_VERSION "\n");
}

TEST_F(Options, WrongUsageIsOneLineAndStatus2) {
  expect_usage_error(parse({"--max-streams", "101"}), "--max-streams: not a whole number from 1 to 100");
  expect_usage_error(parse({"--pause", "soon"}), "--pause: not a duration");
  expect_usage_error(parse({"--rate", "fast"}), "--rate: not a size");
  expect_usage_error(parse({"--header", "A 1"}), "--header: not 'Name: value'");
  expect_usage_error(parse({"--log-level", "loud"}), "--log-level: not one of");
  expect_usage_error(parse({"--user"}), "--user");
  expect_usage_error(parse({"--config", "/nonexistent/zks.toml"}), "/nonexistent/zks.toml");
}

TEST_F(Options, ErrorsRepeatNoLinkAndNoPassword) {
  const std::string secret = "c2VjcmV0LXNlY3JldA";
  const std::vector<std::vector<std::string>> wrong = {{"zks://a#" + secret, "zks://b#" + secret},
                                                       {"--pasword=" + secret},
                                                       {"--pasword", secret, secret},
                                                       {"--user", "a:" + secret, "--user", "b:" + secret},
                                                       {"--user=" + secret, "--log-destinations=" + secret},
                                                       {"--max-streams", secret}};
  for (const auto& arguments : wrong) {
    const Outcome seen = parse(arguments);
    EXPECT_EQ(seen.status, 2) << arguments.front();
    EXPECT_THAT(seen.err, Not(HasSubstr(secret)));
  }
  expect_usage_error(parse({"--pasword=" + secret}), "unknown option --pasword;");
  expect_usage_error(parse({"a", "b"}), "one argument too many");
}

TEST_F(Options, TheConfigFileFillsWhatTheCommandLineLeaves) {
  const std::string file = R"(
link = "zks://from-file"
user = "file:password"
max-streams = 7
pause = "3m"
log-destinations = true
header = ["A: 1", "B: 2"]
)";
  const Outcome seen = parse_config_file(file, {"--max-streams", "9"});
  EXPECT_EQ(seen.status, std::nullopt) << seen.err;
  EXPECT_EQ(seen.link, "zks://from-file");
  EXPECT_EQ(seen.user, "file:password");
  EXPECT_EQ(seen.streams, 9U);
  EXPECT_EQ(seen.pause, std::chrono::minutes(3));
  EXPECT_TRUE(seen.log_destinations);
  EXPECT_THAT(seen.headers, ElementsAre("A: 1", "B: 2"));
  EXPECT_FALSE(parse_config_file("log-destinations = false").log_destinations);
}

TEST_F(Options, AWrongConfigFileIsAUsageError) {
  expect_usage_error(parse_config_file("max-stream = 7"), "there is no option max-stream");
  expect_usage_error(parse_config_file("max-streams = 0"), "--max-streams: not a whole number");
  expect_usage_error(parse_config_file("max-streams = 1.5"), "line 1: max-streams");
  expect_usage_error(parse_config_file("\n[socks5]\nuser = \"a\""), "no sections");
  expect_usage_error(parse_config_file("user = \"a"), "line 1");
  expect_usage_error(parse_config_file("user = \"a\"\nuser = \"b\""), "line 2");
  expect_usage_error(parse_config_file("help = true"), "help");
  expect_usage_error(parse_config_file(std::string(kMaxConfigBytes + 1, '#')), "larger");
  const std::string secret = "c2VjcmV0LXNlY3JldA";
  for (const char* text :
       {"user = \"c2VjcmV0LXNlY3JldA", "user = c2VjcmV0LXNlY3JldA", "user = [[\"c2VjcmV0LXNlY3JldA\"]]"}) {
    const Outcome seen = parse_config_file(text);
    EXPECT_EQ(seen.status, 2);
    EXPECT_THAT(seen.err, Not(HasSubstr(secret))) << text;
  }
}

TEST(ConfigFile, CutAndChangedTextNeverCrashes) {
  const std::string text = "a = \"x\"\nb = [1, 2]\nc = true\n\"d e\" = '''\nz'''\n";
  ASSERT_TRUE(parse_config(text));
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = text;
      changed[i] = static_cast<char>(value);
      const auto parsed = parse_config(changed);
      EXPECT_TRUE(parsed || parsed.error().kind == ErrorKind::kUsage);
    }
    const auto cut = parse_config(std::string_view(text).substr(0, i));
    EXPECT_TRUE(cut || cut.error().kind == ErrorKind::kUsage);
  }
}

TEST(Fail, ExitStatusAndOneLineWhateverTheErrorSays) {
  const CommandLine line("program mode", "", "");
  testing::internal::CaptureStderr();
  EXPECT_EQ(line.fail(make_error(ErrorKind::kRefused, "two\nlines\x1b[2J")), 3);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "program mode: two lines [2J\n");
}

}  // namespace
}  // namespace zks::ops
