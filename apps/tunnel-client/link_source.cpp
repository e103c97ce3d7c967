// SPDX-License-Identifier: MIT
#include "link_source.hpp"

#include <cstdlib>

#include "base/usage_error.hpp"
#include "secret_file.hpp"

namespace zks::app {
Result<link::AccessLink> find_link(const std::string& argument, const std::string& link_file) {
  if (!argument.empty() && !link_file.empty())
    return usage_error("the link is given twice, as LINK and in --link-file");
  if (!argument.empty()) return link::parse_access_link(argument);
  if (!link_file.empty()) {
    const Result<link::SecretText> text = read_secret_line(link_file, link::kMaxLinkBytes);
    if (!text) return text.error();
    Result<link::AccessLink> link = link::parse_access_link(text->view());
    if (!link) return usage_error(link_file + ": " + link.error().text);
    return link;
  }
  const char* variable = std::getenv("ZKS_LINK");
  if (variable == nullptr || *variable == '\0') {
    return usage_error(
        "no link: give LINK, --link-file or ZKS_LINK; an exit peer prints one at its first start");
  }
  Result<link::AccessLink> link = link::parse_access_link(variable);
  if (!link) return usage_error("ZKS_LINK: " + link.error().text);
  return link;
}

}  // namespace zks::app
