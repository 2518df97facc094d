// Numbered UDP datagrams from side a to side b of a NetnsRig at a steady, moderate pace, and a count of what arrives:
// for tests that change something beside the wire and must not lose a packet.
#ifndef KNP_TESTS_SUPPORT_UDP_STREAM_H_
#define KNP_TESTS_SUPPORT_UDP_STREAM_H_

#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "src/base/unique_fd.h"
#include "tests/support/netns_rig.h"

namespace knp::test {

class UdpStream {
 public:
  // About 8,000 datagrams a second until Stop.
  static absl::StatusOr<std::unique_ptr<UdpStream>> Start(const NetnsRig& rig);
  // Sends exactly `datagrams` and returns how many arrived.
  static absl::StatusOr<std::uint64_t> SendAndCount(const NetnsRig& rig, std::uint64_t datagrams);
  ~UdpStream();

  struct Result {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
  };
  // Stops sending and waits until all has arrived, at most 2 s.
  Result Stop();
  std::uint64_t sent() const { return sent_; }

 private:
  UdpStream() = default;
  absl::Status Open(const NetnsRig& rig);
  void Send(std::uint64_t limit);
  void Receive();

  UniqueFd sender_, receiver_;
  std::atomic<std::uint64_t> sent_ = 0, received_ = 0;
  std::atomic<bool> stop_sending_ = false, stop_receiving_ = false;
  std::thread send_thread_, receive_thread_;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_UDP_STREAM_H_
