// A CA and a server's certificate for 127.0.0.1, made when a test runs.
#ifndef KNP_TESTS_AGENT_TLS_IDENTITY_H_
#define KNP_TESTS_AGENT_TLS_IDENTITY_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace knp::testing {

class TlsIdentity {
 public:
  // `name`: what the certificate is for, as OpenSSL writes it: "IP:127.0.0.1", "DNS:kubernetes".
  explicit TlsIdentity(const std::string& name = "IP:127.0.0.1");
  const std::string& ca_pem() const { return ca_pem_; }
  SSL_CTX* context() const { return context_.get(); }

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::string ca_pem_;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
};

}  // namespace knp::testing

#endif  // KNP_TESTS_AGENT_TLS_IDENTITY_H_
