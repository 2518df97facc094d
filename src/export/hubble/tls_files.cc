// See tls_files.h.
#include "src/export/hubble/tls_files.h"

#include <fmt/format.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>

namespace knp::hubble {
namespace {

absl::Status Wrong(const char* what, const std::string& file) {
  std::array<char, 256> why{};
  ERR_error_string_n(ERR_peek_last_error(), why.data(), why.size());
  ERR_clear_error();
  return absl::InvalidArgumentError(fmt::format("{} {}: {}", what, file, why.data()));
}

}  // namespace

absl::Status CheckTlsFiles(const TlsFiles& files) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (!context) return absl::ResourceExhaustedError("cannot make a TLS context");
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
    return Wrong("cannot use the TLS certificate", files.certificate);
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return Wrong("cannot use the TLS key", files.key);
  if (SSL_CTX_check_private_key(context.get()) != 1)
    return Wrong("the TLS certificate is of another key than", files.key);
  if (!files.client_authorities.empty() &&
      SSL_CTX_load_verify_locations(context.get(), files.client_authorities.c_str(), nullptr) != 1)
    return Wrong("cannot use the TLS authorities", files.client_authorities);
  return absl::OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsFiles& files, unsigned refresh_seconds) {
  namespace tls = grpc::experimental;
  const bool mutual = !files.client_authorities.empty();
  tls::TlsServerCredentialsOptions options(
      mutual ? std::make_shared<tls::FileWatcherCertificateProvider>(files.key, files.certificate,
                                                                     files.client_authorities, refresh_seconds)
             : std::make_shared<tls::FileWatcherCertificateProvider>(files.key, files.certificate, refresh_seconds));
  options.watch_identity_key_cert_pairs();
  if (mutual) options.watch_root_certs();
  options.set_cert_request_type(mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                       : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return tls::TlsServerCredentials(options);
}

}  // namespace knp::hubble
