// Where the API is: in a pod, and by kubeconfigs good and bad.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "src/identity/kube/api_config.h"
#include "src/identity/kube/api_source.h"
#include "src/identity/kube/token.h"
#include "tests/support/expect_error.h"

namespace knp::identity::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class KubeConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "knp-kube-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  absl::StatusOr<ApiConfig> Load(const std::string& text, const std::string& context = "") const {
    return LoadKubeconfig(Write("config", text), context);
  }
  static Environment With(std::map<std::string, std::string> variables) {
    return [variables](const char* name) {
      const auto found = variables.find(name);
      return found == variables.end() ? std::string() : found->second;
    };
  }

  std::string folder_;
};

constexpr char kConfig[] = R"(apiVersion: v1
kind: Config
current-context: dev
contexts:
- name: dev
  context: {cluster: c, user: u}
- name: other
  context: {cluster: plain, user: t}
- name: plug
  context: {cluster: c, user: e}
- name: lost
  context: {cluster: nowhere, user: u}
clusters:
- name: c
  cluster:
    server: https://10.0.0.1:6443/
    certificate-authority-data: Q0E=
    tls-server-name: kubernetes
- name: plain
  cluster: {server: "https://[fd00::1]:6443", certificate-authority: pki/ca.crt, insecure-skip-tls-verify: true}
users:
- name: u
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
- name: t
  user: {token: abc, tokenFile: /run/token}
- name: e
  user:
    exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}
)";

TEST_F(KubeConfigTest, InCluster_FilesAndVariables_AreUsed) {
  const std::string token = Write("token", "t"), ca = Write("ca.crt", "CA");
  const auto config =
      InClusterConfig(With({{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}}), folder_);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://[fd00::1]:443");
  EXPECT_EQ(config->token_file, token);
  EXPECT_EQ(config->ca.file, ca);
  EXPECT_EQ(
      InClusterConfig(With({{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}}), folder_)
          ->server,
      "https://10.96.0.1:443");
}

TEST_F(KubeConfigTest, InCluster_NoPodOrNoServiceAccount_SaysSo) {
  EXPECT_ERROR(InClusterConfig(With({}), folder_).status(), IsNotFound, HasSubstr("this is no pod"));
  EXPECT_ERROR(
      InClusterConfig(With({{"KUBERNETES_SERVICE_HOST", "h"}, {"KUBERNETES_SERVICE_PORT", "1"}}), folder_).status(),
      IsNotFound, HasSubstr("service account"));
}

TEST_F(KubeConfigTest, Kubeconfig_CurrentContext_IsRead) {
  const auto config = Load(kConfig);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://10.0.0.1:6443");
  EXPECT_EQ(config->ca.pem, "CA");
  EXPECT_EQ(config->client_certificate.pem, "CERT");
  EXPECT_EQ(config->client_key.pem, "KEY");
  EXPECT_EQ(config->server_name, "kubernetes");
  EXPECT_FALSE(config->insecure);
}

TEST_F(KubeConfigTest, Kubeconfig_OtherContext_PathsAreRelativeToTheFile) {
  const auto config = Load(kConfig, "other");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://[fd00::1]:6443");
  EXPECT_EQ(config->ca.file, folder_ + "/pki/ca.crt");
  EXPECT_EQ(config->token, "abc");
  EXPECT_EQ(config->token_file, "/run/token");
  EXPECT_TRUE(config->insecure);
}

TEST_F(KubeConfigTest, Kubeconfig_WhatCannotBeUsed_IsNamed) {
  EXPECT_ERROR(Load(kConfig, "plug").status(), IsInvalidArgument, AllOf(HasSubstr("'exec'"), HasSubstr("use a token")));
  EXPECT_ERROR(Load(kConfig, "none").status(), IsInvalidArgument, HasSubstr("has no 'none' in its contexts"));
  EXPECT_ERROR(Load(kConfig, "lost").status(), IsInvalidArgument, HasSubstr("has no 'nowhere' in its clusters"));
  EXPECT_ERROR(Load("a: [").status(), IsInvalidArgument, HasSubstr("is no YAML"));
  EXPECT_ERROR(Load("just text").status(), IsInvalidArgument, HasSubstr("is no mapping"));
  EXPECT_ERROR(Load("{}").status(), IsInvalidArgument, HasSubstr("no current-context"));
  EXPECT_ERROR(LoadKubeconfig(folder_ + "/none").status(), IsNotFound, HasSubstr("cannot be read"));
  const char* parts =
      "{current-context: a, contexts: [{name: a, context: {cluster: c, user: u}}], clusters: [{name: c, "
      "cluster: {server: 'https://h', certificate-authority-data: '*'}}]}";
  EXPECT_ERROR(Load(parts).status(), IsInvalidArgument, HasSubstr("certificate-authority-data that is no base64"));
}

TEST_F(KubeConfigTest, Token_FileIsReplaced_IsReadAgainInTimeOrWhenRefused) {
  ApiConfig config;
  config.token_file = Write("token", "one\n");
  Token token(config, 1000);
  EXPECT_EQ(token.Get(1, false), "one");
  Write("token", "two");
  EXPECT_EQ(token.Get(900, false), "one");
  EXPECT_EQ(token.Get(901, true), "two");
  Write("token", "three");
  EXPECT_EQ(token.Get(1902, false), "three");
  Write("token", "a\r\nX-Injected: b");
  EXPECT_EQ(token.Get(4000, false), "three");
  std::filesystem::remove(config.token_file);
  EXPECT_EQ(token.Get(9000, false), "three");
}

TEST_F(KubeConfigTest, Source_UnusableConfig_IsRefused) {
  ApiSource::Options options;
  options.api.server = "10.0.0.1";
  EXPECT_ERROR(ApiSource::Create(options).status(), IsInvalidArgument, HasSubstr("begins with https://"));
  options.api.server = "https://10.0.0.1";
  options.api.ca.file = folder_ + "/none";
  EXPECT_ERROR(ApiSource::Create(options).status(), IsNotFound, HasSubstr("CA"));
}

}  // namespace
}  // namespace knp::identity::kube
