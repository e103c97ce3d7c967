// SPDX-License-Identifier: MIT
//
// The state directory of an exit that has run: what invite, revoke and invites work on.
#pragma once

#include "link/state_directory.hpp"

namespace zks::app {

// Unlike StateDirectory::open() it makes no directory: kUsage when there is none, so that a mistyped
// --state-dir is an error instead of an empty list.
Result<link::StateDirectory> open_existing_state(const std::filesystem::path& path);

}  // namespace zks::app
