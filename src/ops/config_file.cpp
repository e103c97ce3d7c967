// SPDX-License-Identifier: MIT
#include "ops/config_file.hpp"

#include <istream>
#include <optional>
#include <string>

#include <toml++/toml.h>

namespace zks::ops {
namespace {

Error wrong(const toml::source_position& where, std::string_view what) {
  return make_error(ErrorKind::kUsage, "line " + std::to_string(where.line) + ": " + std::string(what));
}

// How the value would stand on a command line.
std::optional<std::string> as_argument(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  return std::nullopt;
}

Result<CLI::ConfigItem> read_item(const toml::key& key, const toml::node& node) {
  CLI::ConfigItem item;
  item.name = std::string(key.str());
  if (node.is_table())
    return wrong(node.source().begin, "[" + item.name + "]: a config file has no sections");
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& element : *list) {
      auto argument = as_argument(element);
      if (!argument)
        return wrong(element.source().begin, item.name + ": neither text, whole number nor true or false");
      item.inputs.push_back(std::move(*argument));
    }
    return item;
  }
  auto argument = as_argument(node);
  if (!argument)
    return wrong(node.source().begin, item.name + ": neither text, whole number nor true or false");
  item.inputs.push_back(std::move(*argument));
  return item;
}

}  // namespace

Result<std::vector<CLI::ConfigItem>> parse_config(std::string_view text) {
  if (text.size() > kMaxConfigBytes) {
    return make_error(ErrorKind::kUsage, "larger than " + std::to_string(kMaxConfigBytes) + " bytes");
  }
  std::vector<CLI::ConfigItem> items;
  try {
    const toml::table table = toml::parse(text);
    for (const auto& [key, node] : table) {
      Result<CLI::ConfigItem> item = read_item(key, node);
      if (!item) return item.error();
      if (!item->inputs.empty()) items.push_back(std::move(*item));
    }
  } catch (const toml::parse_error& error) {
    return wrong(error.source().begin, error.description());
  }
  return items;
}

std::string ConfigFile::to_config(const CLI::App*, bool, bool, std::string) const {
  return {};
}

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& input) const {
  std::string text(kMaxConfigBytes + 1, '\0');
  input.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(input.gcount()));
  Result<std::vector<CLI::ConfigItem>> parsed = parse_config(text);
  if (!parsed) throw CLI::ConfigError("the file of --config: " + parsed.error().text);
  return std::move(*parsed);
}

}  // namespace zks::ops
