// SPDX-License-Identifier: MIT
//
// resolv.conf, where no daemon stands between it and programs: ours while the tunnel is up, and then what was
// there before. For name_service.cpp.
#pragma once

#include <string>

#include "base/result.hpp"
#include "host/journal.hpp"
#include "host/plan.hpp"

namespace zks::host {

// How `path` is now, and what is to be there: the tunnel's servers, and what it says beside its own
// (resolv_settings.hpp). kIo for what is neither file nor symbolic
// link, or more than a resolv.conf.
Result<ResolvConfChange> plan_resolv_conf(const Plan& plan);

// By rename, so no program reads half of it, and what a symbolic link leads to stays as it is. In place where
// the name can't be replaced: `ip netns exec` and containers mount the file itself.
Result<> replace_resolv_conf(const ResolvConfChange& change);

// Content, mode, owner and kind as before. What somebody else has written there meanwhile is left alone, with
// a word in the log.
Result<> restore_resolv_conf(const ResolvConfChange& change);

}  // namespace zks::host
