// SPDX-License-Identifier: MIT
//
// Certificates made while the test runs: a CA of its own and leaves signed by it, as PEM text. Nothing that
// expires or that anyone could trust by mistake lies in the tree.
#pragma once

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "carrier/tls_client.hpp"

namespace zks::test {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freed<X509, X509_free>>;

struct Certificate {
  KeyPtr key;
  X509Ptr x509;

  std::string certificate_pem() const {
    return pem([this](BIO* out) { PEM_write_bio_X509(out, x509.get()); });
  }
  std::string key_pem() const {
    return pem([this](BIO* out) {
      PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  Digest pin() const { return carrier::spki_digest(x509.get()).value(); }

 private:
  template <class Write>
  static std::string pem(Write write) {
    BIO* out = BIO_new(BIO_s_mem());
    write(out);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(out);
    return text;
  }
};

inline void add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) throw std::runtime_error("extension");
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// `names` is a subjectAltName value ("DNS:localhost,IP:127.0.0.1"), empty for a CA. Signed by `issuer`, or by
// itself. `days` may be negative: expired.
inline Certificate make_certificate(const std::string& names, const Certificate* issuer = nullptr,
                                    int days = 1) {
  Certificate out{KeyPtr(EVP_EC_gen("P-256")), X509Ptr(X509_new())};
  X509* cert = out.x509.get();
  X509_set_version(cert, 2);
  static std::atomic<long> serial{1};
  ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3L * 86400);
  X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * days);
  X509_set_pubkey(cert, out.key.get());
  X509_NAME* name = X509_get_subject_name(cert);
  const std::string common = names.empty() ? "test CA" : "test relay";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common.c_str()),
                             -1, -1, 0);
  X509* signer = issuer == nullptr ? cert : issuer->x509.get();
  X509_set_issuer_name(cert, X509_get_subject_name(signer));
  add_extension(cert, signer, NID_basic_constraints,
                names.empty() ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!names.empty()) add_extension(cert, signer, NID_subject_alt_name, names);
  X509_sign(cert, issuer == nullptr ? out.key.get() : issuer->key.get(), EVP_sha256());
  return out;
}

// A file that is gone when the test is.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    std::string name = (std::filesystem::temp_directory_path() / "zks-test-XXXXXX").string();
    const int fd = mkstemp(name.data());
    if (fd < 0) throw std::runtime_error("mkstemp");
    ::close(fd);
    path_ = name;
    write(content);
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(const std::string& content) { std::ofstream(path_, std::ios::trunc) << content; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace zks::test
