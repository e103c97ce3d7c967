// SPDX-License-Identifier: MIT
//
// limit: changes what one invite may reach and use. A running exit takes it up by itself.
#include <cstdio>

#include "commands.hpp"
#include "common_options.hpp"
#include "existing_state.hpp"
#include "terms_options.hpp"

namespace zks::app {
namespace {

Result<std::string> change(const std::filesystem::path& directory, const std::string& name,
                           const TermsOptions& given, bool reset_used) {
  Result<link::StateDirectory> state = open_existing_state(directory);
  if (!state) return state.error();
  const auto apply = [&given](link::Terms& terms) -> Result<> {
    given.apply(terms);
    return {};
  };
  const Result<link::Invite> invite = state->change_terms(name, apply);
  if (!invite) return invite.error();
  if (reset_used) {
    if (auto reset = state->reset_usage(invite->id); !reset) return reset.error();
  }
  return describe_terms(invite->terms);
}

}  // namespace

int limit_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client limit",
      "Changes what one user may reach and use. What is given replaces what was there, \"none\" takes it "
      "away, "
      "the rest stays. Prints what holds now. A running exit takes it up within a second: limits at once, "
      "rules "
      "for every connection from then on.",
      "Example:\n"
      "  zks-tunnel-client limit alice --rate 2MB/s --quota 50GB\n"
      "  zks-tunnel-client limit alice --quota none --deny '*.example.net' --deny 198.51.100.0/24:25\n"
      "  zks-tunnel-client limit alice --reset-used");
  std::string name;
  std::filesystem::path state_dir;
  TermsOptions terms;
  bool reset_used = false;
  line.app().add_option("name", name, "the name that the invite was made with")->required()->type_name("");
  add_state_dir(line.app(), state_dir);
  add_terms(line.app(), terms);
  line.app().add_flag("--reset-used", reset_used, "count what this user has used from 0 again");
  if (const auto status = line.parse(argc, argv)) return *status;
  const Result<std::string> text = change(state_dir, name, terms, reset_used);
  if (!text) return line.fail(text.error());
  if (std::printf("%s\n", text->empty() ? "no rules and limits of its own" : text->c_str()) < 0 ||
      std::fflush(stdout) != 0) {
    return line.fail(make_error(ErrorKind::kIo, "changed, but that could not be written"));
  }
  return 0;
}

}  // namespace zks::app
