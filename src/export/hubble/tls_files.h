// Certificate, key and authorities of a listener. gRPC reads the files again by itself when they change; what it cannot read it only
// notices at a client's cost, so they are looked at once before it starts. Used by HubbleServer.
#ifndef KNP_EXPORT_HUBBLE_TLS_FILES_H_
#define KNP_EXPORT_HUBBLE_TLS_FILES_H_

#include <absl/status/status.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

namespace knp::hubble {

// PEM files.
struct TlsFiles {
  std::string certificate, key;
  std::string client_authorities;  // whoever certifies clients; empty: any client may come
};

// InvalidArgument: which file is wrong, and how.
absl::Status CheckTlsFiles(const TlsFiles& files);
// Clients without a certificate of `client_authorities`, if there are any, are refused.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsFiles& files, unsigned refresh_seconds);

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_TLS_FILES_H_
