// SPDX-License-Identifier: MIT
//
// OpenSSL's TLS between two pieces of memory: ciphertext that came goes in, ciphertext to send comes out
// (TlsStream moves both). What Asio's own adapter lacks, and bulk needs: several records leave by one system
// call and come by one, and an idle connection holds next to nothing.
//
// Sans-IO; one thread at a time.
#pragma once

#include <memory>
#include <span>

#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <openssl/ssl.h>

#include "base/bytes.hpp"

namespace zks::carrier {

using ErrorCode = boost::system::error_code;

class TlsEngine {
 public:
  enum class Role { kClient, kServer };

  // What one write() takes: a record of ours in its frame, and to spare.
  static constexpr std::size_t kMostPlaintext = 128 * 1024;

  TlsEngine(SSL_CTX* context, Role role);
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;
  ~TlsEngine();

  SSL* native_handle() { return ssl_.get(); }

  // Each of these first has to send output(), if there is any. True once the handshake is over; false without
  // an error: more input is needed.
  bool handshake(ErrorCode& ec);
  // Fills `into` with the plaintext that is there. 0 without an error: more input is needed. At the end
  // asio::error::eof if the peer said so, ssl::error::stream_truncated if the connection merely ended.
  std::size_t read(MutableBytes into, ErrorCode& ec);
  // Seals `pieces`, kMostPlaintext bytes of them at most, into as few records as possible; how many bytes.
  std::size_t write(std::span<const ByteView> pieces, ErrorCode& ec);
  // Seals the notice that nothing follows (RFC 8446, section 6.1).
  void shut_down();

  // When more input is needed: what came, which stays where it is until keep_input() copies what was not read
  // of it; after the last, end_input().
  void add_input(ByteView ciphertext) { input_ = ciphertext; }
  void keep_input();
  void end_input() { input_ended_ = true; }

  // Ciphertext to send. take_output() makes what there is the caller's, until output_sent(). Then its memory
  // is the next one's that has output on this thread, so that what a thread touches fits into its cache.
  bool has_output() const { return !output_.empty(); }
  bool is_sending() const { return !sending_.empty(); }
  boost::asio::const_buffer take_output();
  void output_sent();

  // Bytes that it holds beside OpenSSL's own.
  std::size_t held() const { return kept_.capacity() + output_.capacity() + sending_.capacity(); }

 private:
  // What reading may leave to be sent: alerts, answers to key updates. More is a peer that wants our memory.
  static constexpr std::size_t kMostAnswers = 4 * 1024;

  struct Bio;  // OpenSSL's callbacks
  ErrorCode failure(int result);
  std::size_t seal(ByteView plaintext, ErrorCode& ec);

  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL, FreeSsl> ssl_;

  ByteView input_;  // what OpenSSL has not read yet
  Bytes kept_;      // where that is after keep_input()
  bool input_ended_ = false;

  Bytes output_;
  Bytes sending_;
};

}  // namespace zks::carrier
