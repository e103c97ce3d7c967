// SPDX-License-Identifier: MIT
#include "host/name_service.hpp"

#include "host/resolv_conf.hpp"

namespace zks::host {

Result<std::string> set_up_name_service(const Plan& plan, Journal& journal) {
  const auto change = plan_resolv_conf(plan);
  if (!change) return change.error();
  if (auto written = journal.append(*change); !written) return written.error();
  if (auto replaced = replace_resolv_conf(*change); !replaced) return replaced.error();
  return plan.resolv_conf;
}

Result<> take_down_name_service(const std::string&, const std::string&) {
  return {};
}

}  // namespace zks::host
