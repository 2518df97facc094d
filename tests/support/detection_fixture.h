// What the tests of detectors have in common: scans and floods with their alerts captured, a time that only the test moves, and
// contacts that walk through their stages as the flow table tells of real connections.
#ifndef KNP_TESTS_SUPPORT_DETECTION_FIXTURE_H_
#define KNP_TESTS_SUPPORT_DETECTION_FIXTURE_H_

#include <gtest/gtest.h>
#include <knp/detection.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "src/base/contact.h"
#include "src/detect/detection.h"

namespace knp::detect {

inline constexpr std::uint64_t kMs = 1'000'000, kOneSecond = 1000 * kMs;
inline constexpr std::uint64_t kUnixOfZero = 1'700'000'000 * kOneSecond;  // Unix time of monotonic 0
inline constexpr std::uint8_t kFinFlag = 1, kSynFlag = 2, kRstFlag = 4, kPshFlag = 8, kAckFlag = 16, kUrgFlag = 32;

inline IpAddress Ip(const std::string& text) { return *ParseIpAddress(text); }

// The n-th address after `first`, of IPv4.
inline IpAddress Ip(const std::string& first, std::uint32_t n) {
  IpAddress address = Ip(first);
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; i++) value = value << 8 | address.bytes[i];
  value += n;
  for (std::size_t i = 0; i < 4; i++) address.bytes[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  return address;
}

class DetectionTest : public testing::Test {
 protected:
  void SetUp() override { Make({}); }
  // Without the anomalies, which would tell of many a scan and flood too.
  void Make(DetectionOptions options) {
    AnomalyOptions& anomaly = options.anomaly;
    anomaly.volume = anomaly.failures = anomaly.beacon = anomaly.dns_tunnel = anomaly.odd_flags = false;
    anomaly.half_open = 0;
    alerts_.clear();
    detection_ = std::make_unique<Detection>(
        options, AlertBook::Context{.raise = [this](const Alert& alert) { alerts_.push_back(alert); },
                                    .unix_ns = [](std::uint64_t mono_ns) { return kUnixOfZero + mono_ns; },
                                    .packets_seen = [] { return std::uint64_t{4711}; }});
  }

  // Time goes by, and the detectors have their ticks.
  void Pass(std::uint64_t ns) {
    for (const std::uint64_t end = now_ + ns; now_ < end;) {
      now_ = std::min(now_ + Detection::kTickNs, end);
      detection_->Advance(now_);
    }
  }

  Contact Begin(std::uint8_t protocol, const IpAddress& client, std::uint16_t client_port, const IpAddress& server,
                std::uint16_t server_port, std::uint8_t flags = 0) {
    Contact contact;
    contact.flow_id = ++last_id_;
    contact.client = client;
    contact.server = server;
    contact.client_port = client_port;
    contact.server_port = server_port;
    contact.protocol = protocol;
    contact.flags_sent = flags;
    contact.ttl = 64;
    contact.first_mono_ns = contact.mono_ns = now_;
    return contact;
  }
  Contact BeginTcp(const IpAddress& client, const IpAddress& server, std::uint16_t port,
                   std::uint8_t flags = kSynFlag) {
    return Begin(IPPROTO_TCP, client, NextPort(), server, port, flags);
  }
  void To(Contact* contact, Stage stage) {
    const Stage before = contact->stage;
    contact->stage = stage;
    contact->mono_ns = now_;
    detection_->OnStage(*contact, before);
  }
  void Carry(Contact* contact, Count sent, Count received = {}) {
    contact->mono_ns = now_;
    detection_->OnCarried(*contact, {sent, received});
  }

  // Whole connections.
  Contact Connect(const IpAddress& client, const IpAddress& server, std::uint16_t port) {
    Contact c = BeginTcp(client, server, port);
    To(&c, Stage::kOpened);
    c.flags_received |= kSynFlag | kAckFlag;
    To(&c, Stage::kAnswered);
    c.flags_sent |= kAckFlag;
    To(&c, Stage::kCompleted);
    c.client_sent_payload = c.server_sent_payload = true;
    To(&c, Stage::kTalked);
    Carry(&c, {5, 800}, {5, 4000});
    return c;
  }
  Contact Refuse(const IpAddress& client, const IpAddress& server, std::uint16_t port, std::uint8_t flags = kSynFlag) {
    Contact c = BeginTcp(client, server, port, flags);
    To(&c, Stage::kOpened);
    c.flags_received |= kRstFlag | kAckFlag;
    To(&c, Stage::kRefused);
    Carry(&c, {1, 60}, {1, 54});
    return c;
  }
  Contact Silent(const IpAddress& client, const IpAddress& server, std::uint16_t port, std::uint8_t flags = kSynFlag) {
    Contact c = BeginTcp(client, server, port, flags);
    To(&c, Stage::kOpened);
    Carry(&c, {1, 60});
    return c;
  }
  Contact HalfOpen(const IpAddress& client, const IpAddress& server, std::uint16_t port) {
    Contact c = Silent(client, server, port);
    c.flags_received |= kSynFlag | kAckFlag;
    To(&c, Stage::kAnswered);
    Carry(&c, {}, {1, 60});
    return c;
  }
  // A SYN scan's open port: the scanner's stack resets what it knows nothing of.
  Contact Abort(const IpAddress& client, const IpAddress& server, std::uint16_t port) {
    Contact c = HalfOpen(client, server, port);
    c.flags_sent |= kRstFlag;
    To(&c, Stage::kAborted);
    return c;
  }
  Contact Udp(const IpAddress& client, const IpAddress& server, std::uint16_t port, bool answered,
              std::uint16_t client_port = 0, Count sent = {1, 100}) {
    Contact c = Begin(IPPROTO_UDP, client, client_port != 0 ? client_port : NextPort(), server, port);
    To(&c, Stage::kOpened);
    Carry(&c, sent);
    if (answered) {
      To(&c, Stage::kTalked);
      Carry(&c, {}, {1, 100});
    }
    return c;
  }
  // As the flow table tells of it: both ports are the identifier.
  Contact Ping(const IpAddress& client, const IpAddress& server, std::uint16_t id, bool answered = true,
               std::uint64_t packets = 1) {
    const bool v6 = client.version == 6;
    const auto protocol = static_cast<std::uint8_t>(v6 ? +IPPROTO_ICMPV6 : +IPPROTO_ICMP);
    Contact c = Begin(protocol, client, id, server, id);
    c.icmp = static_cast<std::uint16_t>((v6 ? 128 : 8) << 8);
    To(&c, Stage::kOpened);
    if (answered) To(&c, Stage::kAnswered);
    Carry(&c, {packets, 98 * packets}, {answered ? packets : 0, answered ? 98 * packets : 0});
    return c;
  }

  std::vector<Alert> In(AlertState state, const std::string& type = "") const {
    std::vector<Alert> found;
    std::copy_if(alerts_.begin(), alerts_.end(), std::back_inserter(found),
                 [&](const Alert& a) { return a.state == state && a.type.starts_with(type); });
    return found;
  }
  std::vector<Alert> Opened(const std::string& type = "") const { return In(AlertState::kOpened, type); }
  // All that was ever opened, in order, with spaces between: "scan.vertical ddos.syn".
  std::string OpenedTypes() const {
    std::string types;
    for (const Alert& alert : Opened()) types += (types.empty() ? "" : " ") + alert.type;
    return types;
  }
  void ExpectQuiet() const {
    for (const Alert& alert : alerts_) ADD_FAILURE() << alert.type << ": " << alert.summary;
  }
  // Nothing more comes, for as long as any alert waits; each that was opened is then closed, with its own id.
  void ExpectAllClosedAfterQuiet() {
    Pass(1000 * kOneSecond);
    std::multiset<std::string> opened, closed;
    for (const Alert& a : Opened()) opened.insert(a.id);
    for (const Alert& a : In(AlertState::kClosed)) closed.insert(a.id);
    EXPECT_EQ(opened, closed);
    EXPECT_EQ(detection_->alerts().open(), 0u);
  }

  std::uint64_t now_ = 100 * kOneSecond;
  std::vector<Alert> alerts_;
  std::unique_ptr<Detection> detection_;

 private:
  std::uint16_t NextPort() {
    if (++last_port_ < 32768) last_port_ = 32768;
    return last_port_;
  }
  std::uint64_t last_id_ = 0;
  std::uint16_t last_port_ = 32768;
};

}  // namespace knp::detect

#endif  // KNP_TESTS_SUPPORT_DETECTION_FIXTURE_H_
