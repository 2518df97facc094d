// The server on TCP: with TLS, with certificates of clients, with files that change. Certificates are made by openssl for each run.
#include <grpcpp/security/tls_credentials_options.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "tests/agent/hubble_rig.h"

namespace knp::hubble {
namespace {

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool Execute(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

// An authority of its own and certificates of it, as PEM files.
class Authority {
 public:
  explicit Authority(const TemporaryFolder& folder, const std::string& name = "ca") : folder_(folder), name_(name) {
    made_ = Execute("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name +
                    " -keyout " + (folder / (name + ".key")) + " -out " + certificate());
  }
  bool made() const { return made_; }
  std::string certificate() const { return folder_ / (name_ + ".crt"); }
  bool Issue(const std::string& to, const std::string& host) const {
    const std::string stem = folder_ / to;
    std::ofstream(stem + ".ext") << "subjectAltName=DNS:" << host << "\n";
    return Execute("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + host + " -keyout " +
                   stem + ".key.new -out " + stem + ".csr && openssl x509 -req -in " + stem + ".csr -CA " +
                   certificate() + " -CAkey " + (folder_ / (name_ + ".key")) + " -CAcreateserial -days 2 -extfile " +
                   stem + ".ext -out " + stem + ".crt.new && mv " + stem + ".key.new " + stem + ".key && mv " + stem +
                   ".crt.new " + stem + ".crt");
  }

 private:
  const TemporaryFolder& folder_;
  const std::string name_;
  bool made_ = false;
};

class HubbleTls : public testing::Test {
 protected:
  void SetUp() override {
    if (!Execute("openssl version")) GTEST_SKIP() << "openssl is not installed";
    ASSERT_TRUE(authority_.made());
    ASSERT_TRUE(authority_.Issue("server", "node-a.test"));
    ASSERT_TRUE(authority_.Issue("client", "relay.test"));
  }

  TlsFiles Files(bool mutual) const {
    return {folder_ / "server.crt", folder_ / "server.key", mutual ? authority_.certificate() : ""};
  }
  std::unique_ptr<HubbleRig> Rig(bool mutual) const {
    return std::make_unique<HubbleRig>(64, [&](HubbleOptions* options) {
      options->tcp_address = "127.0.0.1:0";
      options->tls = Files(mutual);
      options->tls_refresh_seconds = 1;
    });
  }
  // How a call ends that is made with these credentials.
  static grpc::Status Call(int port, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                           const std::string& host = "node-a.test") {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetSslTargetNameOverride(host);
    const auto stub = observer::Observer::NewStub(
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), credentials, arguments));
    return GetFlows(stub.get(), "number: 1").status;
  }
  std::shared_ptr<grpc::ChannelCredentials> Tls(bool with_certificate, const std::string& authority) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = Read(authority);
    if (with_certificate) {
      options.pem_private_key = Read(folder_ / "client.key");
      options.pem_cert_chain = Read(folder_ / "client.crt");
    }
    return grpc::SslCredentials(options);
  }

  TemporaryFolder folder_;
  Authority authority_{folder_};
};

TEST_F(HubbleTls, ClientWhoKnowsTheAuthority_IsServed) {
  const auto rig = Rig(false);
  rig->Feed(1, 3);
  const int port = rig->server().tcp_port();
  ASSERT_GT(port, 0);
  EXPECT_TRUE(Call(port, Tls(false, authority_.certificate())).ok());
  EXPECT_EQ(Call(port, Tls(false, authority_.certificate()), "other.test").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Call(port, grpc::InsecureChannelCredentials()).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(GetFlows(&rig->stub(), "").status.ok());  // the socket beside it
}

TEST_F(HubbleTls, MutualTls_AsksForACertificateOfTheAuthority) {
  const auto rig = Rig(true);
  const int port = rig->server().tcp_port();
  EXPECT_TRUE(Call(port, Tls(true, authority_.certificate())).ok());
  EXPECT_EQ(Call(port, Tls(false, authority_.certificate())).error_code(), grpc::StatusCode::UNAVAILABLE);
  const Authority stranger(folder_, "stranger");
  ASSERT_TRUE(stranger.Issue("client", "relay.test"));
  EXPECT_EQ(Call(port, Tls(true, authority_.certificate())).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(HubbleTls, FilesThatChange_AreReadAgain) {
  const auto rig = Rig(false);
  const int port = rig->server().tcp_port();
  ASSERT_TRUE(Call(port, Tls(false, authority_.certificate())).ok());
  const Authority next(folder_, "next");
  ASSERT_TRUE(next.Issue("server", "node-a.test"));
  EXPECT_TRUE(Eventually([&] { return Call(port, Tls(false, next.certificate())).ok(); }));
}

TEST_F(HubbleTls, FilesThatDoNotFit_AreToldAtTheStart) {
  EXPECT_TRUE(CheckTlsFiles(Files(true)).ok());
  TlsFiles files = Files(false);
  files.key = folder_ / "client.key";
  EXPECT_NE(std::string(CheckTlsFiles(files).message()).find("client.key"), std::string::npos);
  files = Files(false);
  files.certificate = folder_ / "nothing.crt";
  EXPECT_NE(std::string(CheckTlsFiles(files).message()).find("nothing.crt"), std::string::npos);
  files = Files(false);
  std::ofstream(folder_ / "garbage.crt") << "garbage";
  files.client_authorities = folder_ / "garbage.crt";
  EXPECT_NE(std::string(CheckTlsFiles(files).message()).find("garbage.crt"), std::string::npos);
  HubbleOptions options;
  options.unix_socket = folder_ / "s.sock";
  options.tcp_address = "127.0.0.1:0";
  options.tls = files;
  EXPECT_EQ(HubbleServer::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(HubbleTcp, WithoutTls_HasToBeAskedFor_AndABusyPortIsTold) {
  TemporaryFolder folder;
  HubbleOptions options;
  options.unix_socket.clear();
  options.tcp_address = "127.0.0.1:0";
  EXPECT_EQ(HubbleServer::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.tcp_without_tls = true;
  const auto server = HubbleServer::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  options.tcp_address = "127.0.0.1:" + std::to_string((*server)->tcp_port());
  EXPECT_EQ(HubbleServer::Start(options).status().code(), absl::StatusCode::kUnavailable);
  options.tcp_address.clear();
  EXPECT_EQ(HubbleServer::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace knp::hubble
