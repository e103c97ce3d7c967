// SPDX-License-Identifier: MIT
//
// The handshake against the vectors published with other implementations (cacophony, snow): every message,
// the handshake hash and the transport messages after it, in both roles.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "crypto/cipher_state.hpp"
#include "crypto/noise.hpp"

namespace zks::crypto {
namespace {

using nlohmann::json;

const std::filesystem::path kVectors =
    std::filesystem::path(ZKS_SOURCE_DIR) / "../shared/vectors/noise-ik-25519-chachapoly-sha256.json";

Bytes hex(const json& text) {
  return from_hex(text.get<std::string>()).value();
}

Key key(const json& text) {
  const Bytes bytes = hex(text);
  return Key(std::span<const std::uint8_t, 32>(bytes));
}

HandshakeOptions options_of(const json& vector, Pattern pattern, bool initiator) {
  const std::string role = initiator ? "init_" : "resp_";
  HandshakeOptions options;
  options.pattern = pattern;
  options.initiator = initiator;
  options.prologue = hex(vector.at(role + "prologue"));
  options.local_static = KeyPair::from_private(key(vector.at(role + "static")));
  options.ephemeral = KeyPair::from_private(key(vector.at(role + "ephemeral")));
  if (initiator) {
    const Bytes remote = hex(vector.at("init_remote_static"));
    std::copy(remote.begin(), remote.end(), options.remote_static.begin());
  }
  if (pattern == Pattern::kIKpsk2) options.psk = key(vector.at(role + "psks").at(0));
  return options;
}

// Message by message: what one side writes is the published one, and the other side reads its payload.
void check_message(const json& message, HandshakeState& writer, HandshakeState& reader) {
  const auto written = writer.write_message(hex(message.at("payload")));
  ASSERT_TRUE(written);
  EXPECT_EQ(to_hex(*written), message.at("ciphertext").get<std::string>());
  const auto payload = reader.read_message(*written);
  ASSERT_TRUE(payload);
  EXPECT_EQ(to_hex(*payload), message.at("payload").get<std::string>());
}

void check_transport(const json& messages, const TransportKeys& initiator, const TransportKeys& responder) {
  CipherState sealing[2] = {CipherState(initiator.initiator_to_responder.clone()),
                            CipherState(responder.responder_to_initiator.clone())};
  CipherState opening[2] = {CipherState(responder.initiator_to_responder.clone()),
                            CipherState(initiator.responder_to_initiator.clone())};
  for (std::size_t i = 2; i < messages.size(); ++i) {
    const auto sealed = sealing[i % 2].encrypt_with_ad({}, hex(messages[i].at("payload")));
    ASSERT_TRUE(sealed);
    EXPECT_EQ(to_hex(*sealed), messages[i].at("ciphertext").get<std::string>());
    const auto opened = opening[i % 2].decrypt_with_ad({}, *sealed);
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_hex(*opened), messages[i].at("payload").get<std::string>());
  }
}

void check_vector(const json& vector, Pattern pattern) {
  HandshakeState initiator(options_of(vector, pattern, true));
  HandshakeState responder(options_of(vector, pattern, false));
  const json& messages = vector.at("messages");
  ASSERT_GT(messages.size(), 2U);
  check_message(messages[0], initiator, responder);
  check_message(messages[1], responder, initiator);
  const auto initiator_keys = initiator.split();
  const auto responder_keys = responder.split();
  ASSERT_TRUE(initiator_keys && responder_keys);
  if (vector.contains("handshake_hash")) {
    EXPECT_EQ(to_hex(initiator_keys->handshake_hash), vector.at("handshake_hash").get<std::string>());
  }
  EXPECT_EQ(initiator_keys->handshake_hash, responder_keys->handshake_hash);
  check_transport(messages, *initiator_keys, *responder_keys);
}

// Checks all vectors of the protocol and says how many there were.
std::size_t check_all(const char* protocol_name, Pattern pattern) {
  std::ifstream file(kVectors);
  const json all = json::parse(file);
  std::size_t count = 0;
  for (const json& vector : all.at("vectors")) {
    if (vector.at("protocol_name").get<std::string>() != protocol_name) continue;
    SCOPED_TRACE(vector.value("source", "") + ", vector " + std::to_string(count));
    check_vector(vector, pattern);
    ++count;
  }
  return count;
}

// The file is not ours to copy. Where it is missing the test skips, except in CI, which has it.
class NoiseVectors : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::filesystem::exists(kVectors)) return;
    const char* ci = std::getenv("CI");
    if (ci != nullptr && std::string(ci) == "true") FAIL() << "CI must have " << kVectors;
    GTEST_SKIP() << "no published vectors at " << kVectors;
  }
};

TEST_F(NoiseVectors, IkPsk2) {
  EXPECT_GE(check_all("Noise_IKpsk2_25519_ChaChaPoly_SHA256", Pattern::kIKpsk2), 1U);
}

TEST_F(NoiseVectors, Ik) {
  EXPECT_GE(check_all("Noise_IK_25519_ChaChaPoly_SHA256", Pattern::kIK), 2U);
}

}  // namespace
}  // namespace zks::crypto
