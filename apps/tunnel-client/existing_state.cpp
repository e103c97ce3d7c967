// SPDX-License-Identifier: MIT
#include "existing_state.hpp"

#include <system_error>

namespace zks::app {

Result<link::StateDirectory> open_existing_state(const std::filesystem::path& path) {
  std::error_code ec;
  if (!std::filesystem::is_directory(path, ec)) {
    return make_error(ErrorKind::kUsage, "there is no state directory " + path.string() +
                                             ": give the --state-dir of the exit peer, or start one first");
  }
  return link::StateDirectory::open(path);
}

}  // namespace zks::app
