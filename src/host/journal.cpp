// SPDX-License-Identifier: MIT
#include "host/journal.hpp"

#include <cerrno>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic_file.hpp"
#include "base/bytes.hpp"
#include "base/json_integer.hpp"
#include "host/small_file.hpp"

namespace zks::host {

NLOHMANN_JSON_SERIALIZE_ENUM(ResolvConfChange::Form, {{ResolvConfChange::Form::kMissing, "missing"},
                                                      {ResolvConfChange::Form::kFile, "file"},
                                                      {ResolvConfChange::Form::kLink, "link"}})

namespace {

using nlohmann::json;
using Form = ResolvConfChange::Form;

constexpr int kVersion = 1;
// A resolv.conf in hex, and the little else.
constexpr std::size_t kMaxBytes = 2 * kMaxSmallFile + 32 * 1024;

std::string hex(const std::string& bytes) {
  return to_hex(as_bytes(bytes));
}

json entry_of(const Change& change) {
  if (std::holds_alternative<FirewallChange>(change)) return {{"change", "firewall"}};
  if (const auto* routing = std::get_if<RoutingChange>(&change)) {
    json addresses = json::array();
    for (const IpAddress& address : routing->addresses) addresses.push_back(address.text());
    return {{"change", "routing"}, {"addresses", addresses}};
  }
  if (const auto* check = std::get_if<MarkCheckChange>(&change)) {
    return {{"change", "src_valid_mark"}, {"before", check->before}};
  }
  if (const auto* domains = std::get_if<ResolvedDomainsChange>(&change)) {
    json before = json::array();
    for (const ResolvedDomain& domain : domains->before) {
      before.push_back({{"name", domain.name}, {"routing_only", domain.routing_only}});
    }
    return {{"change", "resolved_domains"}, {"device", domains->device}, {"before", before}};
  }
  const auto& file = std::get<ResolvConfChange>(change);
  return {{"change", "resolv_conf"},      {"path", file.path},      {"before", file.before},
          {"content", hex(file.content)}, {"mode", file.mode},      {"owner", file.owner},
          {"group", file.group},          {"ours", hex(file.ours)}, {"mounted_from", file.mounted_from}};
}

std::string bytes_of(const json& hex_text) {
  const auto bytes = from_hex(hex_text.get<std::string>());
  if (!bytes) throw std::invalid_argument("hex");
  return std::string(bytes->begin(), bytes->end());
}

std::uint32_t number_of(const json& value) {
  const auto number = read_integer(value, 0, std::numeric_limits<std::uint32_t>::max());
  if (!number) throw std::invalid_argument("number");
  return static_cast<std::uint32_t>(*number);
}

RoutingChange routing_of(const json& entry) {
  RoutingChange out;
  for (const json& text : entry.at("addresses")) {
    const auto address = parse_ip_address(text.get<std::string>());
    if (!address) throw std::invalid_argument("address");
    out.addresses.push_back(*address);
  }
  return out;
}

ResolvedDomainsChange resolved_domains_of(const json& entry) {
  ResolvedDomainsChange out{.device = entry.at("device").get<std::string>()};
  for (const json& domain : entry.at("before")) {
    out.before.push_back({domain.at("name").get<std::string>(), domain.at("routing_only").get<bool>()});
  }
  return out;
}

Change change_of(const json& entry) {
  const auto kind = entry.at("change").get<std::string>();
  if (kind == "firewall") return FirewallChange{};
  if (kind == "routing") return routing_of(entry);
  if (kind == "src_valid_mark") return MarkCheckChange{.before = entry.at("before").get<std::string>()};
  if (kind == "resolved_domains") return resolved_domains_of(entry);
  if (kind != "resolv_conf") throw std::invalid_argument("change");
  // What is not in the table becomes its first.
  if (json(entry.at("before").get<Form>()) != entry.at("before")) throw std::invalid_argument("before");
  return ResolvConfChange{.path = entry.at("path").get<std::string>(),
                          .before = entry.at("before").get<Form>(),
                          .content = bytes_of(entry.at("content")),
                          .mode = number_of(entry.at("mode")),
                          .owner = number_of(entry.at("owner")),
                          .group = number_of(entry.at("group")),
                          .ours = bytes_of(entry.at("ours")),
                          .mounted_from = entry.value("mounted_from", std::string())};
}

}  // namespace

std::string encode(const std::vector<Change>& changes) {
  json entries = json::array();
  for (const Change& change : changes) entries.push_back(entry_of(change));
  return json{{"version", kVersion}, {"changes", entries}}.dump(1) + "\n";
}

Result<std::vector<Change>> decode(const std::string& text) {
  try {
    const json document = json::parse(text);
    if (document.at("version") != kVersion) throw std::invalid_argument("version");
    std::vector<Change> out;
    for (const json& entry : document.at("changes")) out.push_back(change_of(entry));
    return out;
  } catch (const std::exception&) {
    return make_error(ErrorKind::kIo, "it is damaged, or another version's");
  }
}

Result<Journal> Journal::open(const std::filesystem::path& file) {
  Journal out(file);
  remove_unfinished_writes(file);
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) {
    if (errno == ENOENT) return out;
    return system_error("read " + file.string(), errno);
  }
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() ||
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return make_error(ErrorKind::kUsage,
                      file.string() +
                          " directs what is undone as root, and is not a file that you alone "
                          "may write: look into it, and remove it");
  }
  const auto text = read_small_file(file, kMaxBytes);
  if (!text) return text.error();
  auto changes = decode(*text);
  if (!changes) {
    return make_error(ErrorKind::kIo, "can't undo what " + file.string() + " says: " + changes.error().text +
                                          "; look at resolv.conf yourself, and remove the file");
  }
  out.changes_ = std::move(*changes);
  return out;
}

Result<> Journal::append(Change change) {
  changes_.push_back(std::move(change));
  auto written = write();
  if (!written) changes_.pop_back();
  return written;
}

Result<> Journal::keep(std::vector<Change> changes) {
  changes_ = std::move(changes);
  if (!changes_.empty()) return write();
  if (::unlink(file_.c_str()) != 0 && errno != ENOENT) return system_error("remove " + file_.string(), errno);
  return {};
}

Result<> Journal::write() const {
  return write_file_atomically(file_, encode(changes_));
}

}  // namespace zks::host
