// What the host knows besides its packets: the pieces of registry.cc, and the thread that polls them. Made by NetworkMonitor's
// Impl; asked by the pipeline for each record. A piece that cannot be here is left out, with the reason in the report.
#ifndef KNP_HOST_HOST_H_
#define KNP_HOST_HOST_H_

#include <knp/options.h>
#include <knp/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/host/piece.h"

namespace knp::host {

class Host {
 public:
  // In the monitor's network namespace. Never fails: what cannot be is described.
  explicit Host(const Surroundings& surroundings);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Starts and stops the polling thread; neither from within a handler. Without it the pieces are polled by Describe.
  void Start();
  void Stop();
  // Takes all that the kernel has by now, unless the thread runs: then a round of it is waited for.
  void Catch();

  // Thread-safe, quick.
  void Complete(FlowRecord* record) const;
  bool Listens(const IpAddress& address, std::uint16_t port) const;
  void Describe(PacketStats* stats) const;

 private:
  struct Row {
    std::string name;
    std::unique_ptr<Piece> piece;  // null: off
    std::string why;
  };
  void Run(const std::stop_token& stop);
  void Poll();

  std::vector<Row> rows_;
  bool no_nat_ = false;  // it was asked for, and cannot be
  std::jthread thread_;
};

}  // namespace knp::host

#endif  // KNP_HOST_HOST_H_
