// A detector with an alert book around it and a clock that a test turns: what it is told, and what came of it.
#ifndef KNP_TESTS_SUPPORT_DETECTOR_RIG_H_
#define KNP_TESTS_SUPPORT_DETECTOR_RIG_H_

#include <knp/detection.h>
#include <knp/types.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::testing {

inline constexpr std::uint64_t kSecond = 1'000'000'000, kMinute = 60 * kSecond;

inline IpAddress Ip(const std::string& text) { return *ParseIpAddress(text); }
// `number` of 10.0.0.0/8.
inline IpAddress InternalIp(std::uint32_t number) {
  return {.bytes = {10, static_cast<std::uint8_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
                    static_cast<std::uint8_t>(number)},
          .version = 4};
}

class DetectorRig {
 public:
  using Make = std::unique_ptr<detect::Detector> (*)(const detect::Surroundings&);
  static constexpr std::uint64_t kEpoch = 1'700'000'000 * kSecond;

  explicit DetectorRig(Make make, const DetectionOptions& detection = {})
      : options(detection),
        book(options, {.raise = [this](const Alert& alert) { Raise(alert); },
                       .unix_ns = [](std::uint64_t mono_ns) { return kEpoch + mono_ns; },
                       .packets_seen = [] { return std::uint64_t{0}; }}),
        detector(make(
            {.options = options, .alerts = book, .unix_ns = [](std::uint64_t mono_ns) { return kEpoch + mono_ns; }})) {}

  DetectorRig(const DetectorRig&) = delete;
  DetectorRig& operator=(const DetectorRig&) = delete;

  // Turns the clock on, in ticks.
  void RunTo(std::uint64_t mono_ns) {
    for (; now < mono_ns; now = std::min(now + kSecond / 4, mono_ns)) Tick();
    Tick();
  }
  void Run(std::uint64_t ns) { RunTo(now + ns); }
  void Finish() {
    detector->Finish(now);
    book.CloseAll(now);
  }

  Contact MakeContact(const IpAddress& client, const IpAddress& server, std::uint16_t port,
                      std::uint8_t protocol = IPPROTO_TCP) {
    Contact contact;
    contact.flow_id = ++flows_;
    contact.client = client;
    contact.server = server;
    contact.client_port = 40000;
    contact.server_port = port;
    contact.protocol = protocol;
    contact.first_mono_ns = contact.mono_ns = now;
    return contact;
  }
  // The conversation comes to that stage now.
  void Reach(Contact& contact, Stage stage) {
    const Stage before = contact.stage;
    contact.stage = stage;
    contact.mono_ns = now;
    detector->OnStage(contact, before);
  }
  // A whole conversation that ends at `stage`.
  Contact Converse(const IpAddress& client, const IpAddress& server, std::uint16_t port, Stage stage,
                   std::uint8_t protocol = IPPROTO_TCP) {
    Contact contact = MakeContact(client, server, port, protocol);
    Reach(contact, Stage::kOpened);
    if (stage != Stage::kOpened) Reach(contact, stage);
    return contact;
  }

  // As told last, in the order in which they were opened.
  std::vector<Alert> alerts;
  DetectionOptions options;
  std::uint64_t now = 1000 * kSecond;
  detect::AlertBook book;
  std::unique_ptr<detect::Detector> detector;

 private:
  void Tick() {
    detector->Advance(now);
    book.Advance(now);
  }
  void Raise(const Alert& alert) {
    for (Alert& known : alerts)
      if (known.id == alert.id) {
        known = alert;
        return;
      }
    alerts.push_back(alert);
  }
  std::uint64_t flows_ = 0;
};

}  // namespace knp::testing

#endif  // KNP_TESTS_SUPPORT_DETECTOR_RIG_H_
