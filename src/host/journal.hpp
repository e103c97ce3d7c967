// SPDX-License-Identifier: MIT
//
// What host.cpp changed and how to undo it, in a file that outlives the process: one entry for each change,
// written before it is made. An entry may therefore be there without its change.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <sys/types.h>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace zks::host {

// The table, the rules and the routes are found by their names and numbers.
struct FirewallChange {
  friend bool operator==(const FirewallChange&, const FirewallChange&) = default;
};
struct RoutingChange {
  std::vector<IpAddress> addresses;  // of the TUN device: connections from them end

  friend bool operator==(const RoutingChange&, const RoutingChange&) = default;
};
// net.ipv4.conf.all.src_valid_mark
struct MarkCheckChange {
  std::string before;

  friend bool operator==(const MarkCheckChange&, const MarkCheckChange&) = default;
};
struct ResolvConfChange {
  enum class Form { kMissing, kFile, kLink };

  std::string path;
  Form before = Form::kMissing;
  std::string content = {};  // of the file; kLink: where it leads
  mode_t mode = 0;
  uid_t owner = 0;
  gid_t group = 0;
  std::string ours = {};          // what is there while the tunnel is up
  std::string mounted_from = {};  // mounts.hpp: which of the files that have this path

  friend bool operator==(const ResolvConfChange&, const ResolvConfChange&) = default;
};
// The domains that systemd-resolved had for another device, whose names went there.
struct ResolvedDomain {
  std::string name;
  bool routing_only = false;  // no search domain

  friend bool operator==(const ResolvedDomain&, const ResolvedDomain&) = default;
};
struct ResolvedDomainsChange {
  std::string device;
  std::vector<ResolvedDomain> before = {};

  friend bool operator==(const ResolvedDomainsChange&, const ResolvedDomainsChange&) = default;
};
using Change =
    std::variant<FirewallChange, RoutingChange, MarkCheckChange, ResolvConfChange, ResolvedDomainsChange>;

class Journal {
 public:
  explicit Journal(std::filesystem::path file) : file_(std::move(file)) {}

  // By the only process that uses it. Nothing read when there is no file. kUsage for a file that others own
  // or may write: it directs what root does.
  static Result<Journal> open(const std::filesystem::path& file);

  const std::vector<Change>& changes() const { return changes_; }
  // On disk when this returns (fsync).
  Result<> append(Change change);
  // Replaces all entries; none removes the file.
  Result<> keep(std::vector<Change> changes);

 private:
  Result<> write() const;

  std::filesystem::path file_;
  std::vector<Change> changes_;
};

// The file's text: JSON. encode() of what decodes is the same text.
std::string encode(const std::vector<Change>& changes);
Result<std::vector<Change>> decode(const std::string& text);

}  // namespace zks::host
