// A round through the sockets of all network namespaces (inet_diag.h): for those that are older than we are, for what TCP
// measures while it lives, for what listeners could not take. Run by SocketWatch; knows of no table.
#ifndef KNP_HOST_SOCKETS_SURVEY_H_
#define KNP_HOST_SOCKETS_SURVEY_H_

#include <absl/container/flat_hash_set.h>
#include <absl/functional/function_ref.h>
#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/base/socket_notice.h"
#include "src/datapath/netns_scope.h"
#include "src/datapath/socket_events.h"
#include "src/host/sockets/inet_diag.h"

namespace knp::host {

// Of the calling thread's network namespace.
std::vector<IpAddress> LocalAddresses();
// The same, its cookie; before Linux 5.14, by a socket that is made for it and seen by the programs. 0: not known. Without
// programs (null), whose notices it would have to agree with, any number of its own does: its inode's.
std::uint64_t NetnsCookie(const datapath::SocketEvents* events);

struct SurveyedSocket {
  SocketEntry entry;
  SocketOwner owner;                         // netns_cookie at least
  bool owned = false;                        // the rest of it is known, too
  std::shared_ptr<const Process> process{};  // for who takes it to fill in
};

struct SurveyRound {
  std::size_t namespaces = 0;
  std::size_t refused = 0;                    // namespaces that we may not enter
  bool complete = false;                      // every socket that was there all the time has been listed
  absl::flat_hash_set<std::uint64_t> listed;  // namespaces of which that is so, by cookie
  std::string trouble;                        // empty: none
  std::uint64_t cost_ns = 0;                  // CPU time, with what the callbacks took
};

// Sockets that are connected or wait at a port, TCP and UDP, some at a time; and the addresses of each namespace. The
// callbacks come from another thread while this one waits. `home` is listed though no process be in it. `events`: who has a
// socket; null: nobody is known here.
using TakeSurveyed = absl::FunctionRef<void(std::span<SurveyedSocket> some)>;
using TakeAddresses = absl::FunctionRef<void(std::uint64_t netns_cookie, const std::vector<IpAddress>& addresses)>;
SurveyRound SurveySockets(const datapath::SocketEvents* events, const datapath::Netns& home, TakeSurveyed take,
                          TakeAddresses take_addresses);

// TCP's, as records have it; of an entry that has `tcp`.
SocketDetail DetailOf(const SocketEntry& entry);
// From one round's beginning to the next one's, so that rounds take 1 % of a CPU at most.
std::uint64_t PaceOf(std::uint64_t interval_ns, std::uint64_t cost_ns);

}  // namespace knp::host

#endif  // KNP_HOST_SOCKETS_SURVEY_H_
