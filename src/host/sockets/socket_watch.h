// What the pieces "processes" and "sockets" stand on: takes notices from the kernel, looks through all sockets now and then,
// names who they are about, keeps the table, answers for records. Made by the first of the two, shared by both. Where the
// kernel tells nothing (no cgroup v2, no ring buffer), the looks through all sockets stand alone.
#ifndef KNP_HOST_SOCKETS_SOCKET_WATCH_H_
#define KNP_HOST_SOCKETS_SOCKET_WATCH_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "src/datapath/netns_scope.h"
#include "src/datapath/socket_events.h"
#include "src/host/piece.h"
#include "src/host/sockets/notice_batch.h"
#include "src/host/sockets/process_names.h"
#include "src/host/sockets/socket_holders.h"
#include "src/host/sockets/socket_table.h"
#include "src/host/sockets/survey.h"

namespace knp::host {

class SocketWatch {
 public:
  // The one of these surroundings.
  static absl::StatusOr<std::shared_ptr<SocketWatch>> Of(const Surroundings& surroundings);

  void Poll(std::uint64_t now_mono_ns);
  void Catch(std::uint64_t now_mono_ns);
  // Thread-safe.
  void AddProcesses(FlowRecord* record) const;
  void AddSockets(FlowRecord* record) const;
  bool Listens(const IpAddress& address, std::uint16_t port) const;
  void Describe(HostPiece* piece, HostReport* report) const;
  void DescribeListeners(HostReport* report) const;
  std::uint64_t sockets() const;
  std::uint64_t processes() const;

 private:
  SocketWatch(const Surroundings& surroundings, absl::StatusOr<std::unique_ptr<datapath::SocketEvents>> events,
              datapath::Netns netns);
  void TakeNotices(std::uint64_t now_mono_ns);
  void LearnAddresses(std::uint64_t now_mono_ns);
  void Survey(std::uint64_t now_mono_ns);
  // By inode: sockets of which nobody is known. Looks for who has them open, a few times each. Returns the CPU time it took.
  std::uint64_t NameHolders(const absl::flat_hash_map<std::uint64_t, std::uint64_t>& cookies,
                            std::uint64_t now_mono_ns);
  void CountNames();

  const std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns_;
  const std::unique_ptr<datapath::SocketEvents> events_;  // null: they cannot be
  const std::string no_events_;                           // then, why
  const datapath::Netns netns_;                           // the monitor's, in which the polling thread need not be
  // Of the polling thread.
  ProcessNames names_;
  NoticeBatch batch_;               // of one Poll
  std::uint64_t polled_at_ns_ = 0;  // CLOCK_MONOTONIC
  std::uint64_t netns_cookie_ = 0;  // the monitor's
  std::uint64_t next_addresses_ns_ = 0;
  const bool names_wanted_;
  SocketHolders holders_;
  absl::flat_hash_map<std::uint64_t, int> looked_for_;  // by cookie: how often, of those still without a name
  const std::uint64_t survey_interval_ns_;
  std::uint64_t surveyed_at_ns_ = 0, next_survey_ns_ = 0, rounds_ = 0;

  mutable std::mutex mutex_;  // of what follows
  SocketTable table_;
  std::uint64_t taken_ = 0;
  std::uint64_t processes_ = 0, names_forgotten_ = 0;
  SurveyRound round_;  // the last one
  std::size_t holders_refused_ = 0;
  std::map<std::string, std::uint64_t> connect_failures_;
  std::uint64_t pace_ns_ = 0;
  std::vector<ListenerTotal> listeners_;
};

absl::StatusOr<std::unique_ptr<Piece>> MakeProcesses(const Surroundings& surroundings);
absl::StatusOr<std::unique_ptr<Piece>> MakeSockets(const Surroundings& surroundings);

}  // namespace knp::host

#endif  // KNP_HOST_SOCKETS_SOCKET_WATCH_H_
