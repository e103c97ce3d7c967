// SPDX-License-Identifier: MIT
#include "carrier/relay_control.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "base/json_integer.hpp"

namespace zks::carrier {
namespace {

using nlohmann::json;

// Ours are flat; extra members of a later version may nest a little.
constexpr int kMaxDepth = 4;

Error bad(const char* what) {
  return make_error(ErrorKind::kProtocol, what);
}

// ---- encoding: by hand, so that each message has one spelling and no copy of a key is left in a JSON tree

std::string object(std::string_view type, std::string_view members = {}) {
  std::string out = R"({"type":")";
  out.reserve(256);  // no reallocation leaves a piece of a key behind
  out.append(type).append("\"").append(members).append("}");
  return out;
}

std::string text_member(std::string_view name, std::string value) {
  std::string out;
  out.reserve(name.size() + value.size() + 6);
  out.append(",\"").append(name).append("\":\"").append(value).append("\"");
  sodium_memzero(value.data(), value.size());
  return out;
}

std::string number_member(std::string_view name, std::uint64_t value) {
  return ",\"" + std::string(name) + "\":" + std::to_string(value);
}

std::string key_message(std::string_view type, std::string before, const Key& key, std::string_view after) {
  std::string member = text_member("remote_key", to_base64url(key.view()));
  std::string members;
  members.reserve(before.size() + member.size() + after.size());
  members.append(before).append(member).append(after);
  std::string out = object(type, members);
  sodium_memzero(member.data(), member.size());
  sodium_memzero(members.data(), members.size());
  return out;
}

struct Encoder {
  std::string operator()(const Challenge& m) const {
    return object("challenge", text_member("nonce", to_base64url(m.nonce)));
  }
  std::string operator()(const Register& m) const {
    return object("register", text_member("room_key", to_base64url(m.room_key)) +
                                  text_member("signature", to_base64url(m.signature)));
  }
  std::string operator()(const Registered&) const { return object("registered"); }
  std::string operator()(const Knock& m) const {
    return object("knock", text_member("pair", to_base64url(m.pair)));
  }
  std::string operator()(const Paired& m) const {
    return key_message("paired", number_member("version", m.version) + number_member("epoch", m.epoch),
                       m.remote_key, number_member("window", m.window_bytes));
  }
  std::string operator()(const NewKey& m) const {
    return key_message("key", number_member("epoch", m.epoch), m.remote_key, {});
  }
  std::string operator()(const KeySeen& m) const {
    return object("key_seen", number_member("epoch", m.epoch));
  }
  std::string operator()(const Mark& m) const { return object("mark", text_member("id", m.id)); }
  std::string operator()(const Ping&) const { return "ping"; }
  std::string operator()(const Pong&) const { return "pong"; }
};

// ---- decoding

// The parsed text, members picked by name. nlohmann's own strings can't be wiped before they are freed; the
// key in a `paired` text is the one that the relay knows anyway.
class Members {
 public:
  explicit Members(json object) : object_(std::move(object)) {}
  ~Members() {
    for (auto& [name, value] : object_.items()) {
      if (auto* text = value.get_ptr<std::string*>()) sodium_memzero(text->data(), text->size());
    }
  }
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;

  std::string_view text(const char* name) const {
    const auto found = object_.find(name);
    const auto* value = found == object_.end() ? nullptr : found->get_ptr<const std::string*>();
    return value == nullptr ? std::string_view() : std::string_view(*value);
  }
  std::optional<std::uint64_t> integer(const char* name) const {
    return read_integer_member(object_, name, 0, kMaxControlInteger);
  }
  std::optional<Key> key(const char* name) const {
    auto bytes = from_base64url(text(name));
    if (!bytes || bytes->size() != Key::kSize) return std::nullopt;
    Key out(std::span<const std::uint8_t, Key::kSize>(bytes->data(), Key::kSize));
    sodium_memzero(bytes->data(), bytes->size());
    return out;
  }

 private:
  json object_;
};

std::optional<json> parse_object(std::string_view text) {
  bool sound = true;
  std::set<std::string> names;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) sound = false;
    // Two readers of a doubled member may each believe another one.
    if (event == json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second) {
      sound = false;
    }
    return true;
  };
  json object = json::parse(text.begin(), text.end(), check, /*allow_exceptions=*/false);
  if (!sound || !object.is_object()) return std::nullopt;
  return object;
}

bool is_mark_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxMarkIdBytes && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
}

Result<Control> decode_challenge(const Members& members) {
  const auto nonce = parse_name<32>(members.text("nonce"));
  if (!nonce) return bad("challenge without a nonce");
  return Control(Challenge{*nonce});
}

Result<Control> decode_register(const Members& members) {
  const auto room_key = parse_name<32>(members.text("room_key"));
  const auto signature = parse_name<64>(members.text("signature"));
  if (!room_key || !signature) return bad("register without key or signature");
  return Control(Register{*room_key, *signature});
}

Result<Control> decode_knock(const Members& members) {
  const auto pair = parse_name<16>(members.text("pair"));
  if (!pair) return bad("knock without a pair");
  return Control(Knock{*pair});
}

Result<Control> decode_paired(const Members& members) {
  const auto version = members.integer("version");
  const auto epoch = members.integer("epoch");
  const auto window = members.integer("window");
  auto key = members.key("remote_key");
  if (!version || !epoch || !window || !key) return bad("paired with a member missing");
  return Control(Paired{*version, *epoch, std::move(*key), *window});
}

Result<Control> decode_key(const Members& members) {
  const auto epoch = members.integer("epoch");
  auto key = members.key("remote_key");
  if (!epoch || !key) return bad("key with a member missing");
  return Control(NewKey{*epoch, std::move(*key)});
}

Result<Control> decode_key_seen(const Members& members) {
  const auto epoch = members.integer("epoch");
  if (!epoch) return bad("key_seen without an epoch");
  return Control(KeySeen{*epoch});
}

Result<Control> decode_mark(const Members& members) {
  const std::string_view id = members.text("id");
  if (!is_mark_id(id)) return bad("mark without an id");
  return Control(Mark{std::string(id)});
}

}  // namespace

std::string encode_control(const Control& message) {
  return std::visit(Encoder{}, message);
}

Result<Control> decode_control(std::string_view text) {
  if (text == "ping") return Control(Ping{});
  if (text == "pong") return Control(Pong{});
  if (text.size() > kMaxControlBytes) return bad("control text over 1 KiB");
  auto object = parse_object(text);
  if (!object) return bad("control text is not a JSON object");
  const Members members(std::move(*object));
  const std::string_view type = members.text("type");
  if (type == "mark") return decode_mark(members);
  if (type == "knock") return decode_knock(members);
  if (type == "paired") return decode_paired(members);
  if (type == "challenge") return decode_challenge(members);
  if (type == "register") return decode_register(members);
  if (type == "registered") return Control(Registered{});
  if (type == "key") return decode_key(members);
  if (type == "key_seen") return decode_key_seen(members);
  return bad("control text of an unknown type");
}

Bytes registration_message(const std::array<std::uint8_t, 32>& nonce, std::string_view authority,
                           const RoomId& room, const InstanceId& instance) {
  const Digest host = sha256(as_bytes(authority));
  Bytes out;
  const auto append = [&out](ByteView part) { out.insert(out.end(), part.begin(), part.end()); };
  append(as_bytes("zks/1 register"));
  append(nonce);
  append(host);
  append(room);
  append(instance);
  return out;
}

}  // namespace zks::carrier
