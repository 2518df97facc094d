// src/app/classifier.h on hand-made conversations: what is named, what stays unknown, and its bounds.
#include "src/app/classifier.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <random>
#include <string>

#include "tests/support/payloads.h"

namespace knp::app {
namespace {

using testing::AsBytes;

constexpr InterfaceId kHere = 3;

class ClassifierTest : public ::testing::Test {
 protected:
  void SetUp() override { Make({}); }
  void Make(const ClassifierOptions& options) {
    auto made = Classifier::Create(options);
    ASSERT_TRUE(made.ok()) << made.status();
    classifier_ = *std::move(made);
  }

  // A payload of flow `id` between port 40000 and `port`.
  void Send(std::uint64_t id, bool from_opener, const std::string& data, std::uint32_t sequence = 1,
            std::uint16_t port = 8123, std::uint8_t protocol = IPPROTO_TCP, InterfaceId interface = kHere) {
    PayloadSample sample;
    sample.tuple.protocol = protocol;
    sample.tuple.source_port = from_opener ? 40000 : port;
    sample.tuple.destination_port = from_opener ? port : 40000;
    sample.tuple.source = {192, 0, 2, static_cast<std::uint8_t>(from_opener ? 1 : 2)};
    sample.tuple.destination = {192, 0, 2, static_cast<std::uint8_t>(from_opener ? 2 : 1)};
    sample.interface = interface;
    sample.mono_ns = ++now_ * 1'000'000;
    sample.sequence = sequence;
    sample.length = static_cast<std::uint32_t>(data.size());
    sample.data = AsBytes(data);
    classifier_->OnPayload(sample, id, from_opener);
  }
  AppDetail Found(std::uint64_t id) const {
    const AppDetail* found = classifier_->Find(id);
    return found ? *found : AppDetail();
  }
  const ClassifierStats& stats() const { return classifier_->stats(); }

  std::unique_ptr<Classifier> classifier_;
  std::uint64_t now_ = 0;
};

TEST_F(ClassifierTest, HttpOnAnOddPort_IsToldInFull) {
  Send(1, true, "GET /videos?id=7 HTTP/1.1\r\nHost: www.netflix.com\r\nUser-Agent: x\r\n\r\n");
  EXPECT_EQ(Found(1).protocol, "HTTP");
  EXPECT_EQ(Found(1).http_status, std::nullopt);
  Send(1, false, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 70000);
  const AppDetail found = Found(1);
  EXPECT_EQ(found.protocol, "HTTP");
  EXPECT_EQ(found.application, "NetFlix");
  EXPECT_EQ(found.http_method, "GET");
  EXPECT_EQ(found.http_url, "/videos?id=7");
  EXPECT_EQ(found.http_host, "www.netflix.com");
  EXPECT_EQ(found.http_status, 503);
  EXPECT_EQ(stats().identified, 1U);
  EXPECT_EQ(stats().detections, 0U);
}

TEST_F(ClassifierTest, HttpAnswerFirst_IsToldInFullToo) {
  Send(1, false, "HTTP/1.1 200 OK\r\n\r\n");
  Send(1, true, "PUT /x HTTP/1.1\r\nHost: plain.example\r\n\r\n");
  EXPECT_EQ(Found(1).http_method, "PUT");
  EXPECT_EQ(Found(1).http_status, 200);
  EXPECT_EQ(Found(1).application, "");
}

TEST_F(ClassifierTest, TlsInOneSample_GivesNameAlpnAndApplication) {
  Send(1, true, testing::TlsClientHello({.server_name = "www.youtube.com", .alpn = {"h2", "http/1.1"}}));
  const AppDetail found = Found(1);
  EXPECT_EQ(found.protocol, "TLS");
  EXPECT_EQ(found.application, "YouTube");
  EXPECT_EQ(found.server_name, "www.youtube.com");
  EXPECT_EQ(found.alpn, "h2,http/1.1");
  EXPECT_EQ(stats().detections, 0U);
}

TEST_F(ClassifierTest, TlsInTwoSamplesInAnyOrder_IsPutTogether) {
  const std::string hello =
      testing::TlsClientHello({.server_name = "www.youtube.com", .alpn = {"h2"}, .key_share_size = 1700});
  ASSERT_GT(hello.size(), 1800U);
  Send(1, true, hello.substr(0, 1400), 1000);
  EXPECT_EQ(Found(1).protocol, "TLS");
  EXPECT_EQ(Found(1).server_name, "");
  Send(1, true, hello.substr(1400), 2400);
  Send(2, true, hello.substr(1400), 2400);
  Send(2, true, hello.substr(1400), 2400);
  Send(2, true, hello.substr(0, 1400), 1000);
  for (const std::uint64_t id : {1, 2}) {
    EXPECT_EQ(Found(id).protocol, "TLS") << id;
    EXPECT_EQ(Found(id).server_name, "www.youtube.com") << id;
    EXPECT_EQ(Found(id).alpn, "h2") << id;
    EXPECT_EQ(Found(id).application, "YouTube") << id;
  }
}

TEST_F(ClassifierTest, SshBanner_IsSsh) {
  Send(1, false, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
  EXPECT_EQ(Found(1).protocol, "SSH");
}

TEST_F(ClassifierTest, DnsOnAnOddPort_IsDnsWithoutAnApplication) {
  Send(1, true, testing::DnsQuery({"www", "youtube", "com"}), 0, 9953, IPPROTO_UDP);
  EXPECT_EQ(Found(1).protocol, "DNS");
  EXPECT_EQ(Found(1).application, "");
}

TEST_F(ClassifierTest, SipOverUdp_IsNamedByNdpi) {
  Send(1, true,
       "OPTIONS sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK7\r\nTo: <sip:b@x>\r\n"
       "From: <sip:a@x>;tag=1\r\nCall-ID: 7\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
       0, 5999, IPPROTO_UDP);
  EXPECT_EQ(Found(1).protocol, "SIP");
}

TEST_F(ClassifierTest, RandomBytesOnWellKnownPorts_StayUnknown) {
  std::mt19937 random(7);
  const auto noise = [&](std::size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() & 0xff);
    return bytes;
  };
  std::uint64_t id = 0;
  for (const std::uint16_t port :
       {22, 25, 53, 80, 110, 143, 443, 1194, 3306, 3478, 5060, 5353, 5432, 6379, 8080, 9092}) {
    for (const std::uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
      for (int repeat = 0; repeat < 10; ++repeat) {
        ++id;
        for (std::uint32_t i = 0; i < 4; ++i) {
          const std::string data = noise(200 + random() % 1000);
          Send(id, true, data, 1 + i * 2000, port, protocol);
          Send(id, false, data, 1 + i * 2000, port, protocol);
        }
        EXPECT_EQ(classifier_->Find(id), nullptr) << port << "/" << int{protocol} << ": " << Found(id).protocol;
      }
    }
  }
  EXPECT_EQ(stats().identified, 0U);
  EXPECT_EQ(stats().unknown + stats().given_up, id);
  EXPECT_EQ(stats().detections, 0U);
}

TEST_F(ClassifierTest, AddressOfAKnownCompany_NamesNothing) {
  PayloadSample sample;
  sample.tuple.protocol = IPPROTO_TCP;
  sample.tuple.source = {10, 0, 0, 1};
  sample.tuple.destination = {8, 8, 8, 8};  // Google's
  sample.tuple.source_port = 40000;
  sample.tuple.destination_port = 443;
  const std::string hello = testing::TlsClientHello({.server_name = "plain.example"});
  sample.data = AsBytes(hello);
  sample.length = static_cast<std::uint32_t>(hello.size());
  classifier_->OnPayload(sample, 1, true);
  EXPECT_EQ(Found(1).protocol, "TLS");
  EXPECT_EQ(Found(1).application, "");
}

TEST_F(ClassifierTest, EveryLengthOfGarbage_IsHarmless) {
  std::mt19937 random(1);
  for (std::size_t size = 0; size <= 1600; ++size) {
    std::string data(size, '\0');
    for (char& byte : data) byte = static_cast<char>(random() & 0xff);
    Send(2 * size, true, data, static_cast<std::uint32_t>(random()), 443);
    Send(2 * size + 1, true, data, 0, 53, IPPROTO_UDP);
  }
  EXPECT_LE(stats().detections, 4096U);
}

TEST_F(ClassifierTest, SecondInterface_DoesNotCount) {
  const std::string hello = testing::TlsClientHello({.server_name = "www.youtube.com", .key_share_size = 1700});
  Send(1, true, hello.substr(0, 1000), 1);
  for (int i = 0; i < 20; ++i) Send(1, true, "GET / HTTP/1.1\r\n\r\n", 1, 8123, IPPROTO_TCP, kHere + 1);
  EXPECT_EQ(stats().samples, 1U);
  Send(1, true, hello.substr(1000), 1001);
  EXPECT_EQ(Found(1).server_name, "www.youtube.com");
}

TEST_F(ClassifierTest, MoreFlowsThanStates_GivesUpTheOldest) {
  Make({.max_detections = 3, .max_flows = 100});
  for (std::uint64_t id = 1; id <= 5; ++id) Send(id, true, "no protocol known to anybody");
  EXPECT_EQ(stats().evicted, 2U);
  EXPECT_EQ(stats().detections, 3U);
  EXPECT_EQ(stats().flows, 5U);
  // The first two are over, whatever comes; the others go on.
  for (std::uint64_t id = 1; id <= 5; ++id) Send(id, false, "SSH-2.0-x\r\n");
  EXPECT_EQ(classifier_->Find(1), nullptr);
  EXPECT_EQ(classifier_->Find(2), nullptr);
  for (std::uint64_t id = 3; id <= 5; ++id) EXPECT_EQ(Found(id).protocol, "SSH") << id;
  EXPECT_EQ(stats().identified, 3U);
}

TEST_F(ClassifierTest, MoreFlowsThanOutcomes_DropsTheOldest) {
  Make({.max_detections = 3, .max_flows = 4});
  for (std::uint64_t id = 1; id <= 6; ++id) Send(id, false, "SSH-2.0-x\r\n");
  EXPECT_EQ(stats().flows, 4U);
  EXPECT_EQ(stats().outcomes_evicted, 2U);
  EXPECT_EQ(classifier_->Find(2), nullptr);
  EXPECT_NE(classifier_->Find(3), nullptr);
}

TEST_F(ClassifierTest, SamplesWithoutEnd_AreBounded) {
  for (std::uint32_t i = 0; i < 100; ++i) Send(1, i % 2 == 0, "....................", i * 20);
  EXPECT_EQ(stats().samples, ClassifierOptions().max_samples);
  EXPECT_EQ(stats().given_up + stats().unknown, 1U);
}

TEST_F(ClassifierTest, Forget_LeavesNothing) {
  Send(1, true, testing::TlsClientHello({.server_name = "a.example"}));
  Send(2, true, "half a");
  classifier_->Forget(1);
  classifier_->Forget(2);
  classifier_->Forget(3);
  EXPECT_EQ(classifier_->Find(1), nullptr);
  EXPECT_EQ(stats().flows, 0U);
  EXPECT_EQ(stats().detections, 0U);
  // The number may come again, for another flow.
  Send(1, false, "SSH-2.0-x\r\n");
  EXPECT_EQ(Found(1).protocol, "SSH");
}

TEST_F(ClassifierTest, OtherTransports_AreNotLookedAt) {
  Send(1, true, "GET / HTTP/1.1\r\n\r\n", 1, 80, IPPROTO_SCTP);
  EXPECT_EQ(stats().samples, 0U);
  EXPECT_EQ(stats().flows, 0U);
}

TEST(Classifier, LimitsOfZero_AreRefused) {
  EXPECT_FALSE(Classifier::Create({.max_detections = 0}).ok());
  EXPECT_FALSE(Classifier::Create({.max_samples = 0}).ok());
}

}  // namespace
}  // namespace knp::app
