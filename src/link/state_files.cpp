// SPDX-License-Identifier: MIT
//
// What is wiped: the text of a file before and after (SecretText), and every JSON string of the parsed or
// built document. What can't be: the scratch buffers of nlohmann's lexer and serializer, freed without being
// wiped.
#include "link/state_files.hpp"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>
#include <sodium.h>

#include "base/json_integer.hpp"
#include "link/access_link.hpp"

namespace zks::link {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kFileVersion = 1;
constexpr std::size_t kMaxNameBytes = 64;

Error damaged(std::string what) {
  return make_error(ErrorKind::kIo, "damaged: " + std::move(what));
}

void wipe_strings(Json& value) {
  if (auto* text = value.get_ptr<Json::string_t*>()) wipe_text(*text);
  if (value.is_structured()) {
    for (auto& element : value) wipe_strings(element);
  }
}

// A parsed or built document, wiped when it dies. `depth` of what is wiped recursively is at most kMaxDepth.
struct Document {
  explicit Document(Json value) : json(std::move(value)) {}
  Document(Document&& other) noexcept : json(std::move(other.json)) {}
  Document& operator=(Document&&) = delete;
  ~Document() { wipe_strings(json); }
  Json json;

  SecretText text() const { return SecretText(json.dump(2) + "\n"); }
};

// The deepest file, invites.json, has four levels. Anything deeper is cut off by the parser's callback, so
// that a damaged file can't exhaust the stack.
constexpr int kMaxDepth = 8;

Result<Document> parse(std::string_view text) {
  bool too_deep = false;
  const auto check_depth = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return depth <= kMaxDepth;
  };
  Document document(Json::parse(text.begin(), text.end(), check_depth, false));
  if (too_deep || !document.json.is_object()) return damaged("not a JSON object");
  const auto version = document.json.find("version");
  if (version == document.json.end() || !version->is_number_integer()) return damaged("no version");
  if (*version != kFileVersion) {
    return make_error(ErrorKind::kUsage, "written by another version of this program");
  }
  return document;
}

template <std::size_t N>
std::optional<Secret<N>> read_secret(const Json& object, const char* name) {
  const auto member = object.find(name);
  const auto* text = member == object.end() ? nullptr : member->get_ptr<const Json::string_t*>();
  if (text == nullptr) return std::nullopt;
  Secret<N> out;
  if (!decode_base64url(*text, out.mutable_view())) return std::nullopt;
  return out;
}

template <std::size_t N>
std::optional<std::array<std::uint8_t, N>> read_bytes(const Json& value) {
  const auto* text = value.get_ptr<const Json::string_t*>();
  if (text == nullptr) return std::nullopt;
  return parse_name<N>(*text);
}

std::optional<std::vector<PublicKey>> read_devices(const Json& object) {
  const auto member = object.find("devices");
  if (member == object.end() || !member->is_array() || member->size() > kMaxDevices) return std::nullopt;
  std::vector<PublicKey> devices;
  for (const Json& element : *member) {
    const auto device = read_bytes<sizeof(PublicKey)>(element);
    if (!device || std::find(devices.begin(), devices.end(), *device) != devices.end()) return std::nullopt;
    devices.push_back(*device);
  }
  return devices;
}

bool read_rules(const Json& list, std::vector<std::string>& rules) {
  if (!list.is_array() || list.empty() || list.size() > kMaxRules) return false;
  for (const Json& element : list) {
    const auto* text = element.get_ptr<const Json::string_t*>();
    if (text == nullptr || text->size() > kMaxRuleBytes) return false;
    rules.push_back(*text);
  }
  return true;
}

// Only what is limited stands there.
std::optional<Terms> read_terms(const Json& object, bool& unknown) {
  if (!object.is_object() || object.empty()) return std::nullopt;
  Terms terms;
  for (const auto& [key, value] : object.items()) {
    const auto number = [&read_from = value](std::uint64_t& out, std::uint64_t high) {
      const auto read = read_integer(read_from, 1, high);
      out = read.value_or(0);
      return read.has_value();
    };
    const bool good = key == "allow"          ? read_rules(value, terms.allow)
                      : key == "deny"         ? read_rules(value, terms.deny)
                      : key == "allow_listen" ? read_rules(value, terms.allow_listen)
                      : key == "max_streams"  ? number(terms.max_streams, kMaxStreams)
                      : key == "stream_rate"  ? number(terms.stream_rate, kMaxStreamRate)
                      : key == "rate"         ? number(terms.rate_bytes, kMaxRate)
                      : key == "quota"        ? number(terms.quota_bytes, kMaxQuota)
                                              : (unknown = true);
    if (!good) return std::nullopt;
  }
  if (terms.rules() > kMaxRules) return std::nullopt;
  return terms;
}

std::optional<Invite> read_invite(const Json& object) {
  constexpr std::uint64_t kLatest = std::uint64_t{1} << 40;  // seconds: the year 36,812
  if (!object.is_object()) return std::nullopt;
  const auto terms = object.find("terms");
  const auto name = object.find("name");
  const auto id = object.find("id");
  if (name == object.end() || !name->is_string() || id == object.end()) return std::nullopt;
  const auto id_bytes = read_bytes<sizeof(InviteId)>(*id);
  auto psk = read_secret<Key::kSize>(object, "psk");
  const auto created = read_integer_member(object, "created", 0, kLatest);
  const auto expires = read_integer_member(object, "expires", 0, kLatest);
  const auto max_devices = read_integer_member(object, "max_devices", 1, kMaxDevices);
  auto devices = read_devices(object);
  if (!id_bytes || !psk || !created || !expires || !max_devices || !devices) return std::nullopt;
  Invite invite;
  invite.id = *id_bytes;
  invite.name = name->get<std::string>();
  invite.psk = std::move(*psk);
  invite.created = static_cast<std::int64_t>(*created);
  invite.expires = static_cast<std::int64_t>(*expires);
  invite.max_devices = static_cast<std::uint32_t>(*max_devices);
  invite.devices = std::move(*devices);
  if (terms != object.end()) {
    auto read = read_terms(*terms, invite.unknown_terms);
    if (!read) return std::nullopt;
    invite.terms = std::move(*read);
  }
  if (!valid_invite_name(invite.name) || invite.devices.size() > invite.max_devices) return std::nullopt;
  return invite;
}

// The members of `before` that none of `known` names: a newer version's, to be kept.
void keep_unknown(Json& now, const Json& before, std::initializer_list<std::string_view> known) {
  if (!before.is_object()) return;
  for (const auto& [key, value] : before.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) now[key] = value;
  }
}

void keep_unknown_of_invite(Json& now, const Json& before) {
  keep_unknown(now, before, {"id", "name", "psk", "created", "expires", "max_devices", "devices", "terms"});
  Json terms = now.value("terms", Json::object());
  keep_unknown(terms, before.value("terms", Json()),
               {"allow", "deny", "allow_listen", "max_streams", "stream_rate", "rate", "quota"});
  if (!terms.empty()) now["terms"] = std::move(terms);
}

// What can't be read has nothing to keep.
Document parse_before(std::string_view text) {
  Result<Document> document = text.empty() ? Result<Document>(Document(Json::object())) : parse(text);
  return document ? std::move(*document) : Document(Json::object());
}

Json write_terms(const Terms& terms) {
  Json out = Json::object();
  if (!terms.allow.empty()) out["allow"] = terms.allow;
  if (!terms.deny.empty()) out["deny"] = terms.deny;
  if (!terms.allow_listen.empty()) out["allow_listen"] = terms.allow_listen;
  if (terms.max_streams != 0) out["max_streams"] = terms.max_streams;
  if (terms.stream_rate != 0) out["stream_rate"] = terms.stream_rate;
  if (terms.rate_bytes != 0) out["rate"] = terms.rate_bytes;
  if (terms.quota_bytes != 0) out["quota"] = terms.quota_bytes;
  return out;
}

Json write_invite(const Invite& invite) {
  Json devices = Json::array();
  for (const PublicKey& device : invite.devices) devices.push_back(to_base64url(device));
  Json out{
      {"id", to_base64url(invite.id)}, {"name", invite.name},       {"psk", to_base64url(invite.psk.view())},
      {"created", invite.created},     {"expires", invite.expires}, {"max_devices", invite.max_devices},
      {"devices", std::move(devices)}};
  // Left out where there are none, so that an older version of this program can still read the file.
  if (invite.terms != Terms{}) out["terms"] = write_terms(invite.terms);
  return out;
}

}  // namespace

bool valid_invite_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), allowed);
}

ExitIdentity derive_exit_identity(const Key& room_seed, Key static_secret) {
  ExitIdentity identity;
  crypto_sign_seed_keypair(identity.room_public.data(), identity.room_secret.data(), room_seed.data());
  crypto_scalarmult_base(identity.static_public.data(), static_secret.data());
  identity.static_secret = std::move(static_secret);
  identity.room = derive_room_id(identity.room_public);
  return identity;
}

Result<ExitIdentity> decode_exit_identity(std::string_view json) {
  const Result<Document> document = parse(json);
  if (!document) return document.error();
  const auto seed = read_secret<crypto_sign_SEEDBYTES>(document->json, "room_seed");
  auto static_key = read_secret<Key::kSize>(document->json, "static_key");
  if (!seed || !static_key) return damaged("not an exit identity");
  return derive_exit_identity(*seed, std::move(*static_key));
}

SecretText encode_exit_identity(const ExitIdentity& identity) {
  Key seed;
  crypto_sign_ed25519_sk_to_seed(seed.data(), identity.room_secret.data());
  return Document(Json{{"version", kFileVersion},
                       {"room_seed", to_base64url(seed.view())},
                       {"static_key", to_base64url(identity.static_secret.view())}})
      .text();
}

Result<Key> decode_client_key(std::string_view json) {
  const Result<Document> document = parse(json);
  if (!document) return document.error();
  auto key = read_secret<Key::kSize>(document->json, "static_key");
  if (!key) return damaged("not a client identity");
  return std::move(*key);
}

SecretText encode_client_key(const Key& key) {
  return Document(Json{{"version", kFileVersion}, {"static_key", to_base64url(key.view())}}).text();
}

Result<RelayList> decode_relays(std::string_view json) {
  const Result<Document> document = parse(json);
  if (!document) return document.error();
  RelayList list;
  const auto pin = document->json.find("pin");
  if (pin != document->json.end()) {
    list.pin = read_bytes<sizeof(Digest)>(*pin);
    if (!list.pin) return damaged("the pin is not 32 bytes of base64url");
  }
  const auto relays = document->json.find("relays");
  if (relays == document->json.end() || !relays->is_array() || relays->empty() ||
      relays->size() > kMaxRelays) {
    return damaged("not a list of relays");
  }
  for (const Json& element : *relays) {
    const auto* text = element.get_ptr<const Json::string_t*>();
    if (text == nullptr) return damaged("a relay is not a URL");
    Result<RelayUrl> url = parse_relay_url(*text);
    if (!url) return damaged(url.error().text);
    list.relays.push_back(std::move(*url));
  }
  return list;
}

SecretText encode_relays(const RelayList& relays, std::string_view before) {
  Json urls = Json::array();
  for (const RelayUrl& relay : relays.relays) urls.push_back(relay.text());
  Json out{{"version", kFileVersion}, {"relays", std::move(urls)}};
  if (relays.pin) out["pin"] = to_base64url(*relays.pin);
  keep_unknown(out, parse_before(before).json, {"version", "relays", "pin"});
  return Document(std::move(out)).text();
}

Result<std::vector<Invite>> decode_invites(std::string_view json) {
  const Result<Document> document = parse(json);
  if (!document) return document.error();
  const auto list = document->json.find("invites");
  if (list == document->json.end() || !list->is_array() || list->size() > kMaxInvites) {
    return damaged("not a list of invites");
  }
  std::vector<Invite> invites;
  std::set<std::string> names;
  std::set<InviteId> ids;
  for (const Json& element : *list) {
    auto invite = read_invite(element);
    if (!invite || !names.insert(invite->name).second || !ids.insert(invite->id).second) {
      return damaged("invite number " + std::to_string(invites.size() + 1) + " is malformed or there twice");
    }
    invites.push_back(std::move(*invite));
  }
  return invites;
}

SecretText encode_invites(const std::vector<Invite>& invites, std::string_view before) {
  Document document(Json{{"version", kFileVersion}, {"invites", Json::array()}});
  const Document old = parse_before(before);
  keep_unknown(document.json, old.json, {"version", "invites"});
  std::map<std::string, const Json*> by_id;
  const auto list = old.json.find("invites");
  if (list != old.json.end() && list->is_array()) {
    for (const Json& invite : *list) {
      if (invite.is_object()) by_id[invite.value("id", Json()).dump()] = &invite;
    }
  }
  for (const Invite& invite : invites) {
    Json written = write_invite(invite);
    if (const auto at = by_id.find(written["id"].dump()); at != by_id.end()) {
      keep_unknown_of_invite(written, *at->second);
    }
    document.json["invites"].push_back(std::move(written));
  }
  return document.text();
}

Result<Usage> decode_usage(std::string_view json) {
  const Result<Document> document = parse(json);
  if (!document) return document.error();
  const auto used = document->json.find("used");
  if (used == document->json.end() || !used->is_object() || used->size() > kMaxInvites) {
    return damaged("not a list of what was used");
  }
  Usage usage;
  for (const auto& [key, value] : used->items()) {
    const auto id = parse_name<sizeof(InviteId)>(key);
    const auto bytes = read_integer(value, 0, kMaxUsedBytes);
    if (!id || !bytes) return damaged("what an invite has used is malformed");
    usage[*id] = *bytes;
  }
  return usage;
}

SecretText encode_usage(const Usage& usage, std::string_view before) {
  Json used = Json::object();
  for (const auto& [id, bytes] : usage) used[to_base64url(id)] = bytes;
  Document document(Json{{"version", kFileVersion}, {"used", std::move(used)}});
  keep_unknown(document.json, parse_before(before).json, {"version", "used"});
  return document.text();
}

}  // namespace zks::link
