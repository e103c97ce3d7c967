// SPDX-License-Identifier: MIT
//
// invite: adds a user to the exit's state directory and prints the access link. A running exit takes it up by
// itself.
#include <cstdio>

#include <unistd.h>

#include "commands.hpp"
#include "common_options.hpp"
#include "existing_state.hpp"
#include "link/issue_link.hpp"
#include "ops/units.hpp"
#include "qr_code.hpp"
#include "terms_options.hpp"

namespace zks::app {
namespace {

struct InviteOptions {
  std::string name;
  std::filesystem::path state_dir;
  std::optional<std::chrono::seconds> lifetime;
  std::size_t devices = link::kDefaultDevices;
  TermsOptions terms;
};

Result<std::string> make_link(const InviteOptions& options) {
  Result<link::StateDirectory> state = open_existing_state(options.state_dir);
  if (!state) return state.error();
  // Everything that can fail comes before the invite, so that none is made without its link being shown.
  Result<link::RelayList> relays = state->load_relays();
  if (!relays) return relays.error();
  const Result<link::ExitIdentity> identity = state->load_or_create_exit_identity();
  if (!identity) return identity.error();
  link::Terms terms;
  options.terms.apply(terms);
  Result<link::Invite> invite =
      state->add_invite(options.name, options.lifetime, static_cast<std::uint32_t>(options.devices), terms);
  if (!invite) return invite.error();

  return link::format_access_link(link::issue_link(*identity, *relays, *invite));
}

}  // namespace

int invite_command(int argc, const char* const* argv) {
  ops::CommandLine line(
      "zks-tunnel-client invite",
      "Makes an access link for a user of this exit and prints it; on a terminal also as a QR code. "
      "It is shown only once. Whoever has it can use this exit until it expires or is revoked.",
      "Example:\n"
      "  zks-tunnel-client invite alice --expires 30d --devices 2 > alice.link\n"
      "  zks-tunnel-client invite guest --rate 1MB/s --quota 20GB --allow 192.168.1.20:631");
  InviteOptions options;
  line.app()
      .add_option("name", options.name, "the user's name: letters, digits, '.', '_', '-'")
      ->required()
      ->type_name("");
  add_state_dir(line.app(), options.state_dir);
  ops::add_parsed<std::chrono::seconds>(
      line.app(), "--expires", options.lifetime, ops::parse_duration,
      "how long the link works, such as 12h, 30d, 8w; default: until it is revoked", "DURATION");
  ops::add_count(line.app(), "--devices", options.devices, 1, link::kMaxDevices,
                 "how many devices may use the link; the first ones that do are the ones");
  add_terms(line.app(), options.terms);
  if (const auto status = line.parse(argc, argv)) return *status;

  const Result<std::string> text = make_link(options);
  if (!text) return line.fail(text.error());
  if (std::printf("%s\n", text->c_str()) < 0 || std::fflush(stdout) != 0) {
    return line.fail(make_error(ErrorKind::kIo,
                                "the link could not be written; revoke " + options.name + " and try again"));
  }
  if (::isatty(STDOUT_FILENO) != 0) std::fputs(draw_qr_code(*text).c_str(), stderr);
  return 0;
}

}  // namespace zks::app
