// The agent's pages, asked by a client that may be rude.
#include "src/agent/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>

#include "src/agent/listen_address.h"
#include "src/base/unique_fd.h"

namespace knp::agent {
namespace {

using testing::HasSubstr;

TEST(HttpServer, Pages_AreServedOnAnyFreePort) {
  HttpServer server;
  server.Handle("/healthz", [] { return Page{.body = "ok\n"}; });
  server.Handle("/readyz", [] { return Page{.status = 503, .body = "not ready\n"}; });
  ASSERT_TRUE(server.Listen("127.0.0.1:0").ok());
  httplib::Client client("127.0.0.1", server.port());
  const auto health = client.Get("/healthz");
  ASSERT_TRUE(health);
  EXPECT_EQ(health->status, 200);
  EXPECT_EQ(health->body, "ok\n");
  EXPECT_EQ(client.Get("/readyz")->status, 503);
  EXPECT_EQ(client.Get("/nothing")->status, 404);
  EXPECT_EQ(client.Post("/healthz")->status, 404);
}

TEST(HttpServer, Garbage_BringsNothingDown) {
  HttpServer server;
  server.Handle("/healthz", [] { return Page{.body = "ok\n"}; });
  ASSERT_TRUE(server.Listen("127.0.0.1:0").ok());
  for (const std::string& garbage :
       {std::string(20000, 'x'), std::string("GET / HTTP/9.9\r\n\r\n"), std::string("\0\1\2\r\n\r\n", 7),
        std::string("GET /healthz HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")}) {
    const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(server.port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    (void)!send(client.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    shutdown(client.get(), SHUT_WR);
    char answer[256];
    while (recv(client.get(), answer, sizeof answer, 0) > 0) {
    }
  }
  EXPECT_EQ(httplib::Client("127.0.0.1", server.port()).Get("/healthz")->status, 200);
}

TEST(HttpServer, TakenOrStrangeAddress_IsNamed) {
  HttpServer first, second;
  ASSERT_TRUE(first.Listen("127.0.0.1:0").ok());
  const std::string taken = "127.0.0.1:" + std::to_string(first.port());
  const absl::Status status = second.Listen(taken);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(taken));
  for (const char* text : {"", "9967", "localhost", "127.0.0.1:", "127.0.0.1:99999", "::1:80", "[]:80"})
    EXPECT_TRUE(absl::IsInvalidArgument(ParseListenAddress(text).status())) << text;
  EXPECT_EQ(ParseListenAddress("[::1]:80")->first, "::1");
}

}  // namespace
}  // namespace knp::agent
