// See host_tables.h.
#include "bench/host_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "bench/churn.h"
#include "bench/host.h"
#include "bench/isolation.h"
#include "bench/own_process.h"

namespace knp::bench {
namespace {

constexpr int kFew = 2, kMany = 100;  // interfaces

// In a process and a network namespace of its own.
template <typename Result, typename Measure>
Result Alone(Measure measure) {
  Result result;
  InAProcessOfItsOwn(
      [&measure](Result* filled) {
        EnterOwnNetworkNamespace();
        measure(filled);
      },
      &result);
  return result;
}

std::string Prices(const std::string& floors_path) {
  const auto drop = Alone<HostPrice>([&](HostPrice* price) { MeasureDrops(floors_path, price); });
  const auto connection = Alone<HostPrice>(MeasureSockets);
  const auto survey = Alone<HostPrice>(MeasureSurvey);
  const auto nat = Alone<NatPrice>(MeasureNat);
  const auto few = Alone<HostPrice>([](HostPrice* price) { MeasureInterfaces(kFew, price); });
  const auto many = Alone<HostPrice>([](HostPrice* price) { MeasureInterfaces(kMany, price); });

  std::string text =
      "| piece | one | floor | floor, ns | kernel, ns above | user space, ns | of the floor |\n"
      "|--|--|--|--:|--:|--:|--:|\n";
  const auto above = [&text](const char* piece, const char* one, const char* floor, const HostPrice& price) {
    text += fmt::format("| {} | {} | {} | {:.0f} | {:.0f} | {:.0f} | {:.2f} |\n", piece, one, floor, price.floor,
                        price.kernel, price.user, (price.floor + price.kernel + price.user) / price.floor);
  };
  const auto instead = [&text](const std::string& piece, const char* one, const char* floor, double bare, double ours) {
    text += fmt::format("| {} | {} | {} | {:.0f} | | {:.0f} | {:.2f} |\n", piece, one, floor, bare, ours, ours / bare);
  };
  above("drops", "dropped packet", "a datagram to a full socket, the tracepoint empty", drop);
  above("processes, sockets", "connection", "made, accepted, closed over loopback", connection);
  instead("sockets", "socket of a survey", "a bare INET_DIAG dump", survey.floor, survey.user);
  above("nat", "entry of conntrack, both events", "made and deleted by ctnetlink", nat.entry);
  instead("… its reading alone", "the same", "bare recv", nat.bare_read, nat.entry.user);
  for (const auto& [count, price] : {std::pair(kFew, few), std::pair(kMany, many)})
    instead(fmt::format("interfaces ({} and lo)", count), "look, one a second", "a bare dump of them", price.floor,
            price.user);
  return text;
}

// By what the pieces cost, of three.
ChurnResult MedianChurn(const std::string& floors_path, bool host, bool folding) {
  std::vector<ChurnResult> results;
  for (int round = 0; round < 3; round++)
    results.push_back(
        Alone<ChurnResult>([&](ChurnResult* result) { MeasureChurn(floors_path, host, folding, result); }));
  std::sort(results.begin(), results.end(),
            [](const ChurnResult& a, const ChurnResult& b) { return a.host() < b.host(); });
  return results[1];
}

std::string ChurnTable(const std::string& floors_path) {
  std::string text =
      "| host | folding | connections a second | pieces, kernel | pieces, user space | pieces together | target | met "
      "| flow table, kernel | reader, user space | folded, % of the packets |\n"
      "|--|--|--:|--:|--:|--:|--:|--|--:|--:|--:|\n";
  for (const bool folding : {true, false})
    for (const bool host : {false, true}) {
      const ChurnResult r = MedianChurn(floors_path, host, folding);
      text +=
          fmt::format("| {} | {} | {:.0f} | {:.1f} | {:.1f} | {:.1f} | {} | {} | {:.1f} | {:.1f} | {:.1f} |\n",
                      host ? "on" : "off", folding ? "on" : "off", r.per_second, r.host_kernel * 100, r.host_user * 100,
                      r.host() * 100, host ? "≤ 10" : "", host ? Verdict(r.host(), 0.1, false) : "",
                      r.flows_kernel * 100, r.flows_user * 100, r.folded_share * 100);
    }
  return text;
}

}  // namespace

std::string HostTables(const std::string& floors_path) {
  return fmt::format(
      R"(Each piece by itself, in turn with the same work without it; CPU time, the median of the rounds.

{}
Connections over lo at 20,000 a second, made, accepted and closed, with a monitor of lo beside them: % of one core, in the kernel
what it accounts to the programs (less its reading of the clock), in user space the CPU time of our threads. To complete the
records with what the pieces know is the reader's. Each row is the middle one of three runs.

{}
)",
      Prices(floors_path), ChurnTable(floors_path));
}

}  // namespace knp::bench
