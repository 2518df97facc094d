// knp_bench: measures and writes docs/performance.md (./dev bench). One argument: another file to write to; or --flood or
// --host: only that part, to the terminal.
//
// The user-space parts run in processes of their own, so that the memory measured is theirs.
#include <fmt/format.h>
#include <sys/utsname.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "bench/conversations.h"
#include "bench/data_path.h"
#include "bench/fallbacks.h"
#include "bench/flood.h"
#include "bench/host_tables.h"
#include "bench/isolation.h"
#include "bench/own_process.h"
#include "bench/replay.h"
#include "bench/test_run.h"
#include "bench/user_space.h"

namespace knp::bench {
namespace {

constexpr char kFloors[] = KNP_BUILD_DIR "/lib/bench/floors.o";
constexpr unsigned kRounds = 9;

std::string DataPathTable(const std::vector<Line>& lines) {
  std::string text =
      "| program | ns a packet | above the empty one | least seen | ratio | target | met "
      "|\n|--|--:|--:|--:|--:|--:|--|\n";
  for (const Line& line : lines)
    text += fmt::format("| {} | {:.1f} | {:.1f} | {:.1f} | {:.2f} | {} | {} |\n", line.name, line.ns, line.above,
                        line.least, line.ratio, line.target == 0 ? "" : fmt::format("≤ {:.0f}", line.target),
                        Verdict(line.above, line.target, false));
  return text;
}

std::string UserSpaceTable(const UserSpaceResult& u) {
  std::string text = "| what | measured | target | met |\n|--|--:|--:|--|\n";
  text += fmt::format("| ns a record: read, merged, reported | {:.0f} | ≤ 1000 | {} |\n", u.ns_a_record,
                      Verdict(u.ns_a_record, 1000, false));
  text += fmt::format("| new flows a second without a loss | {:.0f} | ≥ 250000 | {} |\n", u.new_flows_per_second,
                      Verdict(u.new_flows_per_second, 250000, true));
  text += fmt::format("| … user space's share of one CPU at that rate | {:.0f} % | | |\n", u.reader_cpu * 100);
  text +=
      fmt::format("| ns a payload sample: classified (TLS, HTTP, DNS, SSH, one flow in six unknown) | {:.0f} | | |\n",
                  u.ns_a_sample);
  text += fmt::format("| … of flows in which nothing is found | {:.0f} | | |\n", u.ns_a_hard_sample);
  text += fmt::format("| … MiB that nDPI takes once | {:.1f} | | |\n", u.classifier_mib);
  text += fmt::format("| µs to look at every slot once, nothing new (each second) | {:.0f} | | |\n", u.empty_scan_us);
  text += fmt::format(
      "| peak RSS, MiB (table and ring, {:.0f} MiB, included; the ring is mapped twice) | {:.1f} | ≤ 64 | {} |\n",
      u.kernel_mib, u.peak_rss_mib, Verdict(u.peak_rss_mib, 64, false));
  return text;
}

std::string ConversationTable(const ConversationResult& c) {
  std::string text = "| what | measured | target | met |\n|--|--:|--:|--|\n";
  text += fmt::format("| bytes a conversation, of a million | {:.0f} | ≤ 300 | {} |\n", c.bytes_each,
                      Verdict(c.bytes_each, 300, false));
  text += fmt::format("| records merged a second on one core, 65,536 conversations | {:.0f} | ≥ 500000 | {} |\n",
                      c.merged_per_second, Verdict(c.merged_per_second, 500000, true));
  text += fmt::format("| … a million conversations | {:.0f} | ≥ 500000 | {} |\n", c.merged_per_second_million,
                      Verdict(c.merged_per_second_million, 500000, true));
  text += fmt::format("| ns to make a record of a live conversation | {:.0f} | | |\n", c.ns_a_record_told);
  return text;
}

std::string FallbackTable(const std::vector<Fallback>& ways) {
  std::string text =
      "| way | forced off | hot flow | of the best | 1,024 flows | new flow | a scan, ms | hot within 3 × or 60 ns "
      "|\n|--|--|--:|--:|--:|--:|--:|--|\n";
  for (const Fallback& way : ways)
    text += fmt::format("| {} | {} | {:.1f} | {:.2f} | {:.1f} | {:.1f} | {:.1f} | {} |\n", way.name,
                        way.disabled.empty() ? "" : "`" + way.disabled + "`", way.hot, way.hot / ways[0].hot,
                        way.thousand, way.fresh, way.scan_ms, WithinBounds(way, ways[0]) ? "yes" : "**no**");
  return text;
}

std::string ReplayTable(const ReplayResult& result) {
  std::string text = "| capture | frames a second | bare test run | ratio | target | met |\n|--|--:|--:|--:|--:|--|\n";
  for (const auto& [line, target] :
       {std::pair(result.kernel, 0.6), {result.sparse, 0.0}, {result.new_flows, 0.0}, {result.native, 0.0}})
    text += fmt::format("| {} | {:.0f} | {:.0f} | {:.2f} | {} | {} |\n", line.name, line.frames_per_second,
                        line.bare_frames_per_second, line.ratio, target == 0 ? "" : fmt::format("≥ {}", target),
                        Verdict(line.ratio, target, true));
  return text;
}

struct FloodPair {
  FloodResult without, with;
};

FloodPair MeasureFloods(bool wide) {
  FloodPair pair;
  InAProcessOfItsOwn([wide](FloodResult* r) { MeasureFlood(kFloors, wide, false, r); }, &pair.without);
  InAProcessOfItsOwn([wide](FloodResult* r) { MeasureFlood(kFloors, wide, true, r); }, &pair.with);
  return pair;
}

std::string FloodTable(const FloodPair& spoofed, const FloodPair& wide) {
  std::string text =
      "| flood | folding | packets a second | ns a packet | ratio | user space, % of a CPU | ratio | target | met | "
      "lost, % "
      "| folded, % | flows | peak RSS, MiB | target | met |\n"
      "|--|--|--:|--:|--:|--:|--:|--:|--|--:|--:|--:|--:|--:|--|\n";
  const auto add = [&text](const char* name, const char* folding, const FloodResult& r, const FloodResult& without,
                           bool judged) {
    text += fmt::format(
        "| {} | {} | {:.0f} | {:.0f} | {:.2f} | {:.1f} | {:.2f} | {} | {} | {:.2f} | {:.2f} | {} | {:.1f} | {} | {} "
        "|\n",
        name, folding, r.packets_per_second, r.ns_a_packet, r.ns_a_packet / without.ns_a_packet, r.reader_cpu * 100,
        r.reader_cpu / without.reader_cpu, judged ? "≤ 10, none lost" : "",
        judged ? r.reader_cpu <= 0.1 && r.lost_share == 0 ? "yes" : "**no**" : "", r.lost_share * 100,
        r.folded_share * 100, r.flows, r.peak_rss_mib, judged ? "≤ 64" : "",
        judged ? Verdict(r.peak_rss_mib, 64, false) : "");
  };
  add("one port, sources made up", "off", spoofed.without, spoofed.without, false);
  add("the same", "on", spoofed.with, spoofed.without, true);
  add("both ends made up", "off", wide.without, wide.without, false);
  add("the same", "on", wide.with, wide.without, true);
  return text;
}

int RunFloods() {
  EnterOwnNetworkNamespace();
  const FloodPair spoofed = MeasureFloods(false), wide = MeasureFloods(true);
  std::fputs(FloodTable(spoofed, wide).c_str(), stdout);
  return 0;
}

int RunHost() {
  EnterOwnNetworkNamespace();
  std::fputs(HostTables(kFloors).c_str(), stdout);
  return 0;
}

int Run(const std::string& path) {
  EnterOwnNetworkNamespace();
  UserSpaceResult user_space;
  InAProcessOfItsOwn([](UserSpaceResult* r) { MeasureRecords(kFloors, r); }, &user_space);
  InAProcessOfItsOwn([](UserSpaceResult* r) { MeasureLoad(kFloors, r); }, &user_space);
  ConversationResult conversations;
  InAProcessOfItsOwn(MeasureConversations, &conversations);
  InAProcessOfItsOwn([](UserSpaceResult* r) { MeasureClassifier(kFloors, r); }, &user_space);
  const FloodPair spoofed = MeasureFloods(false), wide = MeasureFloods(true);
  const std::string best = DataPathTable(MeasureDataPath(kFloors, kRounds, ""));
  const std::string fallbacks = FallbackTable(MeasureFallbacks(kFloors, kRounds));
  const std::string host = HostTables(kFloors);
  const std::string replay = ReplayTable(MeasureReplay(kFloors, kRounds));
  utsname system{};
  uname(&system);
  const std::string text = fmt::format(
      R"(# What it costs

Written by `./dev bench` on Linux {}, {}, {} CPUs. Trust the ratios; the machine decides the rest.

## In the kernel, by BPF_PROG_TEST_RUN

64-byte TCP packets through a driver that gives each another flow, then our program; CPU time of the thread, {} rounds with all
programs interleaved, the median of each round's difference to the empty program of that round. The reader thread runs
beside it, as in life.

{}
A new flow's price holds the eviction of an old one: the table is full by then. `131,072 flows` in random order are more than
the caches hold (two cache lines a packet); with fewer, the time is the parser's and the ledger's.

### Where the kernel lacks something

The same programs with features forced off (`KNP_DISABLE_FEATURES`), every way in the same rounds; ns a packet above the empty
program. `a scan` is user space looking at every slot of the default table (20 MiB) once, each second.

{}
Without a ring buffer a new flow costs more: every record goes through the perf core (an event's bookkeeping, a second copy).
tcx or clsact makes no difference to our program; what the kernel spends to call it is not in these figures.

## Under a flood

Our program in TEST_RUN without a pause on one CPU for five seconds, each packet a new flow, the reader on the other. With folding
(`datapath.new_flows_per_second`, on by default) the detail of what is beyond an end's budget is given up, its counts are not:
in each row the ledger balanced to the packet. docs/records.md says what is left of such flows.

{}
## In user space

The load is our program in TEST_RUN on one CPU, each packet a new flow; the reader has the other. Default options.

{}
Conversations, fed with records of both directions in an order that no cache likes; names, applications and traffic are on.

{}
## What the host knows

{}
## Replay

`knp replay` of a capture made for this: reading the file, our programs by one BPF_PROG_TEST_RUN a frame, connections and
detection, against nothing but a test run of an empty program on the same frames. CPU time of the one thread that does
all.

{}
## Beside the peers

Measured earlier on a machine of this kind (not in this run): netobserv 149–166 ns hot, 411–485 at 16k flows, 470–577 at 131k, 938
a new flow, 5 % to 97 % of packets lost at 50 kpps of new flows, 72–721 MB; Retina (ring buffer) 160–174 / 510–574 / 760–867 /
906 ns; softflowd 1.4 CPU-seconds per million packets.
)",
      system.release, system.machine, std::thread::hardware_concurrency(), kRounds, best, fallbacks,
      FloodTable(spoofed, wide), UserSpaceTable(user_space), ConversationTable(conversations), host, replay);
  std::fputs(text.c_str(), stdout);
  std::ofstream file(path);
  if (!(file << text).flush()) Die("cannot write " + path);
  return 0;
}

}  // namespace
}  // namespace knp::bench

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string("--flood")) return knp::bench::RunFloods();
  if (argc > 1 && argv[1] == std::string("--host")) return knp::bench::RunHost();
  return knp::bench::Run(argc > 1 ? argv[1] : KNP_SOURCE_DIR "/docs/performance.md");
}
