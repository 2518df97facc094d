// The monitor's JSON lines: one object a line, as CONTRACT.md ("JSON lines") lays them down. Fed with the library's
// public types by `knp monitor -o json`; read by scripts and other tools.
//
// Flows and events can come by the hundred thousand a second, so they are written by hand into the caller's buffer;
// the rest, a few lines an interval, goes through a JSON library. A field that is not known is left out.
#ifndef KNP_EXPORT_JSON_JSON_LINES_H_
#define KNP_EXPORT_JSON_JSON_LINES_H_

#include <knp/capture_replay.h>
#include <knp/traffic.h>
#include <knp/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace knp::json {

// Each appends whole lines, newline included, to `out`.
void AppendFlow(std::string& out, const FlowRecord& flow);
void AppendEvent(std::string& out, const Event& event);
void AppendAlert(std::string& out, const Alert& alert);

// Live flows by the interface that saw them; a flow that was seen on several is live on each of them.
using ActiveFlows = std::map<std::string, std::uint64_t>;
void CountActive(ActiveFlows& active, const FlowRecord& flow);

// One `stats` line an interface. `active` may be null (not known). `rates` is the window nearest to `interval`. The first
// line has `traffic`, which is of all interfaces together, unless that is null, and `mitigation` and `host`, likewise, unless they are off.
void AppendStats(std::string& out, const PacketStats& stats, const ActiveFlows* active,
                 std::chrono::milliseconds interval, const TrafficReport* traffic = nullptr);

// One `loss` line for each place of each interface where `now` lost more than `before`, and one (`where` =
// "events_ring_full") for optional events that found the ring full.
void AppendLosses(std::string& out, const PacketStats& before, const PacketStats& now);

// What a run came to.
struct Summary {
  PacketStats stats;  // the last ones
  std::uint64_t flows = 0;
  std::uint64_t alerts = 0;              // opened
  std::optional<ReplayReport> replay{};  // of a replay
};
void AppendSummary(std::string& out, const Summary& summary);

// Packets of the remainder whose headers do not hold what they promise: all reasons but those of packets that are
// merely not IP (`arp`, `non_ip`), came while an interface was being detached (`no_interface`), are of a link type that
// nobody here reads (`link_type`), or were not captured far enough (`snaplen`).
std::uint64_t MalformedPackets(const Ledger& ledger);

// The window of `stats` whose length is nearest to `interval`; null if there are none.
const Rates* NearestWindow(const InterfaceStats& stats, std::chrono::milliseconds interval);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_LINES_H_
