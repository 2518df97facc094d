// A ping flood and a TCP stream over a NetnsRig, both ways, from Start to Stop: for tests in which something around the
// wire changes and not one packet may be lost.
//
//   auto traffic = SteadyTraffic::Start(rig);
//   … change something …   ASSERT_TRUE((*traffic)->Flow());   // and see it go on
//   (*traffic)->StopAndExpectNoLoss();
//
// Side a asks, side b answers: numbered ICMP echo requests, and a TCP connection on which b returns what it receives.
#ifndef KNP_TESTS_SUPPORT_STEADY_TRAFFIC_H_
#define KNP_TESTS_SUPPORT_STEADY_TRAFFIC_H_

#include <absl/status/statusor.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/support/netns_rig.h"

namespace knp::test {

class SteadyTraffic {
 public:
  // About 2,000 pings and 2,000 blocks of 500 bytes a second, less where the machine is slow.
  static absl::StatusOr<std::unique_ptr<SteadyTraffic>> Start(const NetnsRig& rig);
  ~SteadyTraffic();

  // Waits until `pings` more have been answered and as many blocks have come back; false after 20 s.
  bool Flow(std::uint64_t pings = 120);
  // The same of pings alone: for when the TCP connection has lost its other end.
  bool FlowOfPings(std::uint64_t pings = 120);
  // Does `change`, of which it is known that the *kernel* drops packets meanwhile: pings that were sent from its begin to
  // a little after its end may be lost, and TCP may have to send again.
  void WhileKernelMayDrop(const std::function<void()>& change);

  struct Result {
    std::uint64_t pings = 0, answers = 0;
    std::uint64_t lost_pings = 0;                      // outside of what WhileKernelMayDrop covers
    std::uint64_t sent_bytes = 0, returned_bytes = 0;  // of the stream
    std::uint64_t resent = 0;                          // TCP segments sent again that had not arrived already
    std::string error;                                 // of the stream: data that differ, a connection that broke
    bool dropping_allowed = false;
    std::string Text() const;
  };
  Result Stop();
  // The same at once, and nothing is expected of it any more: the other end has gone.
  void Abandon();
  // Every ping is answered and every byte came back, and nothing had to be sent again. Fails the running test if not.
  Result StopAndExpectNoLoss();

 private:
  using Time = std::chrono::steady_clock::time_point;
  SteadyTraffic() = default;
  absl::Status Open(const NetnsRig& rig);
  void Ping();
  void SendPing();
  void TakeAnswers();
  void Client();
  void Server();
  void Fail(std::string* error, const std::string& what);
  bool WaitForPings(std::uint64_t pings, std::uint64_t blocks);

  UniqueFd icmp_, client_, server_;
  std::vector<Time> pinged_;  // by number; the ping thread's
  std::vector<bool> answered_;
  std::vector<std::pair<Time, Time>> may_drop_;  // the test's thread's
  std::atomic<std::uint64_t> pings_ = 0, answers_ = 0, sent_bytes_ = 0, returned_bytes_ = 0;
  std::string client_error_, server_error_;  // each of its thread
  std::atomic<bool> stop_ = false, abandoned_ = false;
  std::thread ping_thread_, client_thread_, server_thread_;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_STEADY_TRAFFIC_H_
