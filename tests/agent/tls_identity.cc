// See tls_identity.h.
#include "tests/agent/tls_identity.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <random>

namespace knp::testing {
namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

void Extend(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  if (!extension) return;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate Make(const char* name, long serial, EVP_PKEY* key, X509* issuer) {
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), issuer ? X509_get_subject_name(issuer) : subject);
  return certificate;
}

}  // namespace

TlsIdentity::TlsIdentity(const std::string& name) : context_(SSL_CTX_new(TLS_server_method())) {
  const Key ca_key(EVP_EC_gen("P-256")), key(EVP_EC_gen("P-256"));
  // Two CAs of one name would be told apart by their signatures only.
  const std::string ca_name = "test CA " + std::to_string(std::random_device()());
  const Certificate ca = Make(ca_name.c_str(), 1, ca_key.get(), nullptr);
  Extend(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE");
  Extend(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign");
  X509_sign(ca.get(), ca_key.get(), EVP_sha256());
  const Certificate server = Make("kube-apiserver", 2, key.get(), ca.get());
  Extend(server.get(), ca.get(), NID_subject_alt_name, name.c_str());
  X509_sign(server.get(), ca_key.get(), EVP_sha256());

  const std::unique_ptr<BIO, Free> text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(text.get(), ca.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  ca_pem_.assign(data, static_cast<std::size_t>(size));
  SSL_CTX_use_certificate(context_.get(), server.get());
  SSL_CTX_use_PrivateKey(context_.get(), key.get());
}

}  // namespace knp::testing
