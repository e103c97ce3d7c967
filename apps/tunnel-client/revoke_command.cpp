// SPDX-License-Identifier: MIT
//
// revoke: takes a user out of the exit's state directory. A running exit ends that user's sessions by itself.
#include "commands.hpp"
#include "common_options.hpp"
#include "existing_state.hpp"

namespace zks::app {

int revoke_command(int argc, const char* const* argv) {
  ops::CommandLine line("zks-tunnel-client revoke",
                        "Ends a user's access: the link works no more, and live sessions end.",
                        "Example:\n  zks-tunnel-client revoke alice");
  std::string name;
  std::filesystem::path state_dir;
  line.app().add_option("name", name, "the name that the invite was made with")->required()->type_name("");
  add_state_dir(line.app(), state_dir);
  if (const auto status = line.parse(argc, argv)) return *status;
  Result<link::StateDirectory> state = open_existing_state(state_dir);
  if (!state) return line.fail(state.error());
  const Result<InviteId> revoked = state->revoke_invite(name);
  if (!revoked) return line.fail(revoked.error());
  return 0;
}

}  // namespace zks::app
