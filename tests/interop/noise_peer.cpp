// SPDX-License-Identifier: MIT
//
// One end of a handshake and of its records on stdin and stdout, for tests/e2e/test_noise_independent.py,
// where other implementations are the other end. A line is a command and its arguments, bytes in hex, "-" for
// none; the answer is "ok" and bytes in hex, or "refused". Anything the test itself gets wrong ends the
// program.
//
//   handshake initiator|responder PROLOGUE STATIC REMOTE PSK  STATIC: our private key; REMOTE: initiator only
//   public                          our static public key
//   write PAYLOAD | read MESSAGE    the next message of the handshake
//   remote                          the peer's static key
//   split                           key initiator to responder, key responder to initiator, handshake hash
//   encrypt AD TEXT | decrypt AD TEXT   transport messages under those keys
//   lane DIRECTION KEY HASH RELAY   a sealer and an opener of one direction, epoch 0
//   seal FRAMES | open RECORD
//   skip COUNT                      seals COUNT empty records and forgets them
//   seal_epoch N RELAY | open_epoch N RELAY
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <sodium.h>

#include "crypto/cipher_state.hpp"
#include "crypto/noise.hpp"
#include "crypto/record.hpp"

namespace zks::crypto {
namespace {

using Arguments = std::vector<std::string>;
using Answer = Result<Bytes>;

Bytes bytes_of(const std::string& text) {
  return text == "-" ? Bytes{} : from_hex(text).value();
}

std::array<std::uint8_t, 32> array_of(const std::string& text) {
  const Bytes bytes = bytes_of(text);
  if (bytes.size() != 32) throw std::invalid_argument("not 32 bytes: " + text);
  std::array<std::uint8_t, 32> out;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

Key key_of(const std::string& text) {
  return Key(array_of(text));
}

Answer done(const Result<>& result) {
  if (!result) return result.error();
  return Bytes{};
}

class Peer {
 public:
  Answer handshake(const Arguments& in) {
    HandshakeOptions options;
    options.initiator = in.at(0) == "initiator";
    initiator_ = options.initiator;
    options.prologue = bytes_of(in.at(1));
    options.local_static = KeyPair::from_private(key_of(in.at(2)));
    public_key_ = options.local_static.public_key;
    if (initiator_) options.remote_static = array_of(in.at(3));
    options.psk = key_of(in.at(4));
    handshake_.emplace(std::move(options));
    return Bytes{};
  }
  Answer public_key(const Arguments&) { return Bytes(public_key_.begin(), public_key_.end()); }
  Answer write(const Arguments& in) { return handshake_.value().write_message(bytes_of(in.at(0))); }
  Answer read(const Arguments& in) { return handshake_.value().read_message(bytes_of(in.at(0))); }
  Answer remote(const Arguments&) {
    const PublicKey& key = handshake_.value().remote_static();
    return Bytes(key.begin(), key.end());
  }

  Answer split(const Arguments&) {
    const auto keys = handshake_.value().split();
    if (!keys) return keys.error();
    const Key& ours = initiator_ ? keys->initiator_to_responder : keys->responder_to_initiator;
    const Key& theirs = initiator_ ? keys->responder_to_initiator : keys->initiator_to_responder;
    outbound_.emplace(ours.clone());
    inbound_.emplace(theirs.clone());
    Bytes out;
    for (const ByteView part :
         {ByteView(keys->initiator_to_responder.view()), ByteView(keys->responder_to_initiator.view()),
          ByteView(keys->handshake_hash)}) {
      out.insert(out.end(), part.begin(), part.end());
    }
    return out;
  }
  Answer encrypt(const Arguments& in) {
    return outbound_.value().encrypt_with_ad(bytes_of(in.at(0)), bytes_of(in.at(1)));
  }
  Answer decrypt(const Arguments& in) {
    return inbound_.value().decrypt_with_ad(bytes_of(in.at(0)), bytes_of(in.at(1)));
  }

  Answer lane(const Arguments& in) {
    const Direction direction = in.at(0) == "0" ? Direction::kClientToExit : Direction::kExitToClient;
    const Digest hash = array_of(in.at(2));
    const Key relay = key_of(in.at(3));
    sealer_.emplace(key_of(in.at(1)), direction, hash, relay);
    opener_.emplace(key_of(in.at(1)), direction, hash, relay);
    return Bytes{};
  }
  Answer seal(const Arguments& in) {
    const Bytes frames = bytes_of(in.at(0));
    Bytes record(frames.size() + kRecordOverhead);
    std::copy(frames.begin(), frames.end(), record.begin() + kRecordHeader);
    const Result<> sealed = sealer_.value().seal(record);
    if (!sealed) return sealed.error();
    return record;
  }
  Answer open(const Arguments& in) {
    Bytes record = bytes_of(in.at(0));
    const Result<MutableBytes> frames = opener_.value().open(record);
    if (!frames) return frames.error();
    return Bytes(frames->begin(), frames->end());
  }
  Answer skip(const Arguments& in) {
    Bytes record(kRecordOverhead);
    for (std::uint64_t left = std::stoull(in.at(0)); left > 0; --left) {
      const Result<> sealed = sealer_.value().seal(record);
      if (!sealed) return sealed.error();
    }
    return Bytes{};
  }
  Answer seal_epoch(const Arguments& in) {
    return done(sealer_.value().set_epoch(std::stoull(in.at(0)), key_of(in.at(1))));
  }
  Answer open_epoch(const Arguments& in) {
    return done(opener_.value().set_epoch(std::stoull(in.at(0)), key_of(in.at(1))));
  }

 private:
  bool initiator_ = false;
  PublicKey public_key_{};
  std::optional<HandshakeState> handshake_;
  std::optional<CipherState> outbound_;
  std::optional<CipherState> inbound_;
  std::optional<RecordSealer> sealer_;
  std::optional<RecordOpener> opener_;
};

using Command = Answer (Peer::*)(const Arguments&);
const std::map<std::string, Command> kCommands = {{"handshake", &Peer::handshake},
                                                  {"public", &Peer::public_key},
                                                  {"write", &Peer::write},
                                                  {"read", &Peer::read},
                                                  {"remote", &Peer::remote},
                                                  {"split", &Peer::split},
                                                  {"encrypt", &Peer::encrypt},
                                                  {"decrypt", &Peer::decrypt},
                                                  {"lane", &Peer::lane},
                                                  {"seal", &Peer::seal},
                                                  {"open", &Peer::open},
                                                  {"skip", &Peer::skip},
                                                  {"seal_epoch", &Peer::seal_epoch},
                                                  {"open_epoch", &Peer::open_epoch}};

void serve(std::istream& in, std::ostream& out) {
  Peer peer;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    Arguments arguments;
    for (std::string word; words >> word;) arguments.push_back(word);
    const Answer answer = (peer.*kCommands.at(name))(arguments);
    out << (answer ? "ok " + to_hex(*answer) : std::string("refused")) << std::endl;
  }
}

}  // namespace
}  // namespace zks::crypto

int main() {
  if (sodium_init() < 0) return 1;
  try {
    zks::crypto::serve(std::cin, std::cout);
  } catch (const std::exception& error) {
    std::cerr << "noise_peer: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
