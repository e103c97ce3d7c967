// SPDX-License-Identifier: MIT
#include "base/system_error.hpp"

#include <cerrno>
#include <system_error>

namespace zks {

Error system_error(const std::string& action, int code) {
  std::string text = "can't " + action + ": " + std::generic_category().message(code);
  if (code == EPERM || code == EACCES) text += "; run it as root, or with CAP_NET_ADMIN";
  return make_error(ErrorKind::kIo, std::move(text), code);
}

}  // namespace zks
