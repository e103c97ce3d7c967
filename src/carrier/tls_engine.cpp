// SPDX-License-Identifier: MIT
#include "carrier/tls_engine.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <openssl/err.h>

namespace zks::carrier {
namespace {

constexpr std::size_t kRecordPlaintext = SSL3_RT_MAX_PLAIN_LENGTH;  // 16 KiB (RFC 8446, section 5.1)
constexpr std::size_t kRecordOverhead = 64;                         // of any suite that is in use, rounded up
constexpr std::size_t kMostSpareOutputs = 4;

// Memory of large outputs that were sent, the last on top.
std::vector<Bytes>& spare_outputs() {
  thread_local std::vector<Bytes> spare;
  return spare;
}

ErrorCode last_error() {
  const unsigned long code = ERR_get_error();
  if (code == 0) return boost::asio::error::connection_aborted;
  return {static_cast<int>(code), boost::asio::error::get_ssl_category()};
}

}  // namespace

struct TlsEngine::Bio {
  static TlsEngine& engine(BIO* bio) { return *static_cast<TlsEngine*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int size) {
    TlsEngine& self = engine(bio);
    BIO_clear_retry_flags(bio);
    if (self.input_.empty()) {
      if (!self.input_ended_) BIO_set_retry_read(bio);
      return self.input_ended_ ? 0 : -1;
    }
    const std::size_t count = std::min(self.input_.size(), static_cast<std::size_t>(size));
    std::memcpy(into, self.input_.data(), count);
    self.input_ = self.input_.subspan(count);
    return static_cast<int>(count);
  }

  // Exceptions don't pass through C.
  static int write(BIO* bio, const char* from, int size) noexcept {
    TlsEngine& self = engine(bio);
    BIO_clear_retry_flags(bio);
    try {
      // Of the same type, or it would be copied byte by byte.
      const ByteView bytes = as_bytes({from, static_cast<std::size_t>(size)});
      self.output_.insert(self.output_.end(), bytes.begin(), bytes.end());
    } catch (const std::bad_alloc&) {
      return -1;
    }
    return size;
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return engine(bio).input_ended_ ? 1 : 0;
    return 0;
  }

  static const BIO_METHOD* method() {
    static BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");
      if (made == nullptr) throw std::bad_alloc();
      BIO_meth_set_read(made, &Bio::read);
      BIO_meth_set_write(made, &Bio::write);
      BIO_meth_set_ctrl(made, &Bio::control);
      return made;
    }();
    return kMethod;
  }
};

TlsEngine::TlsEngine(SSL_CTX* context, Role role) : ssl_(SSL_new(context)) {
  BIO* bio = ssl_ ? BIO_new(Bio::method()) : nullptr;
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_mode(ssl_.get(), SSL_MODE_RELEASE_BUFFERS);  // an idle connection holds no record's memory
  if (role == Role::kClient) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

TlsEngine::~TlsEngine() = default;

bool TlsEngine::handshake(ErrorCode& ec) {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result != 1) ec = failure(result);
  return result == 1;
}

std::size_t TlsEngine::read(MutableBytes into, ErrorCode& ec) {
  std::size_t total = 0;
  while (total < into.size()) {
    ERR_clear_error();
    std::size_t count = 0;
    const int result = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &count);
    if (result == 1) {
      total += count;
      continue;
    }
    if (total == 0) ec = failure(result);  // otherwise the next call says so again
    break;
  }
  if (output_.size() > kMostAnswers) ec = boost::asio::error::no_buffer_space;
  return total;
}

// Large pieces are sealed where they are. Small ones are joined, so that a frame's header is no record of its
// own, which costs as much as a full one.
std::size_t TlsEngine::write(std::span<const ByteView> pieces, ErrorCode& ec) {
  std::size_t left = kMostPlaintext;
  std::size_t total = 0;
  std::array<std::uint8_t, kRecordPlaintext> joined;
  std::size_t held = 0;
  for (ByteView piece : pieces) {
    piece = piece.first(std::min(piece.size(), left));
    left -= piece.size();
    if (piece.empty()) continue;  // it may be a null pointer
    if (held > 0 || piece.size() < kRecordPlaintext) {
      const std::size_t size = std::min(piece.size(), joined.size() - held);
      std::memcpy(joined.data() + held, piece.data(), size);
      held += size;
      piece = piece.subspan(size);
      if (held < joined.size()) continue;
      total += seal(joined, ec);
      held = 0;
    }
    if (!piece.empty() && !ec) total += seal(piece, ec);
    if (ec) break;
  }
  if (held > 0 && !ec) total += seal({joined.data(), held}, ec);
  return total;
}

std::size_t TlsEngine::seal(ByteView plaintext, ErrorCode& ec) {
  const std::size_t records = plaintext.size() / kRecordPlaintext + 1;
  const std::size_t needed = output_.size() + plaintext.size() + records * kRecordOverhead;
  if (auto& spare = spare_outputs();
      output_.capacity() == 0 && needed >= kRecordPlaintext && !spare.empty()) {
    output_ = std::move(spare.back());
    spare.pop_back();
  }
  if (needed > output_.capacity()) output_.reserve(std::max(needed, 2 * output_.size()));
  ERR_clear_error();
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), plaintext.data(), plaintext.size(), &written);
  if (result != 1) {
    ec = failure(result);
    if (!ec) ec = boost::asio::error::no_protocol_option;  // a renegotiation, which is switched off
  }
  return written;
}

void TlsEngine::shut_down() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());  // its own error would say that the handshake was never over
  ERR_clear_error();
}

// No error where OpenSSL only wants more input.
ErrorCode TlsEngine::failure(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {};
    case SSL_ERROR_ZERO_RETURN:
      return boost::asio::error::eof;
    case SSL_ERROR_SSL:
      if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return boost::asio::ssl::error::stream_truncated;
      return last_error();
    default:
      return input_ended_ ? ErrorCode(boost::asio::ssl::error::stream_truncated) : last_error();
  }
}

// ---- ciphertext

void TlsEngine::keep_input() {
  if (input_.empty()) {
    Bytes().swap(kept_);
  } else if (input_.data() < kept_.data() || input_.data() >= kept_.data() + kept_.size()) {
    kept_.assign(input_.begin(), input_.end());
    input_ = kept_;
  }
}

boost::asio::const_buffer TlsEngine::take_output() {
  sending_.swap(output_);
  return {sending_.data(), sending_.size()};
}

void TlsEngine::output_sent() {
  auto& spare = spare_outputs();
  sending_.clear();
  if (sending_.capacity() >= kRecordPlaintext && spare.size() < kMostSpareOutputs)
    spare.push_back(std::move(sending_));
  Bytes().swap(sending_);
}

}  // namespace zks::carrier
