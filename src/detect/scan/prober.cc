// See prober.h.
#include "src/detect/scan/prober.h"

#include <absl/container/inlined_vector.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cmath>

#include "src/base/address_hash.h"
#include "src/base/nanoseconds.h"

namespace knp::detect {
namespace {

// Jung et al. 2004: 0.8 of a benign source's first contacts succeed, 0.2 of a scanner's; found with a probability of 0.99 at
// one false alarm in a hundred decisions: log(0.99 / 0.01).
constexpr double kStep = 1.3862943611198906, kScanner = 4.59511985013459;
constexpr double kMostLikelihood = 8 * kStep;  // so that successes can still bring it down
constexpr std::uint64_t kSlowSpanNs = 20'000'000'000;
// A benign source fails too: failures must be twice what it reached.
constexpr double kFailuresToSuccesses = 2;
constexpr std::size_t kMostPorts = 64, kMostHosts = 16, kMostSamples = 8, kMostCounts = 60;
constexpr std::uint64_t kCountNs = 1'000'000'000;
constexpr std::size_t kFewPorts = 5;  // of an address scan (simple-scan)

double WeightOf(Verdict verdict) { return verdict == Verdict::kDoubtful ? 0.5 : 1; }
// Many who speak UDP are never answered, and speak to many; to many ports of one host nobody has to.
bool IsWeakOfHosts(const Attempt& a, Verdict verdict) {
  return a.protocol == IPPROTO_UDP && (verdict == Verdict::kDoubtful || verdict == Verdict::kSilent);
}

std::uint64_t HostOf(const Attempt& a) { return HashOf(a.target); }
std::uint64_t PairOf(const Attempt& a) { return Mix(HostOf(a) + (std::uint64_t{a.protocol} << 16 | a.port)); }

// Weights by key; there are few keys or many with little each, and at most kMostFailures.
class Tally {
 public:
  void Add(std::uint64_t key, double weight, std::uint64_t mono_ns) {
    for (Row& row : rows_)
      if (row.key == key) {
        row.weight += weight;
        row.first_ns = std::min(row.first_ns, mono_ns);
        return;
      }
    rows_.push_back({key, weight, mono_ns});
  }
  struct Row {
    std::uint64_t key;
    double weight;
    std::uint64_t first_ns;
  };
  const Row* Most() const {
    const auto most =
        std::max_element(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) { return a.weight < b.weight; });
    return most == rows_.end() ? nullptr : &*most;
  }
  std::size_t size() const { return rows_.size(); }

 private:
  absl::InlinedVector<Row, 32> rows_;
};

std::uint64_t PortKey(const Attempt& a) { return std::uint64_t{a.protocol} << 16 | a.port; }

// By its first packet; "" where that says nothing.
const char* ProbeName(const Attempt& a) {
  if (a.tcp_flags == kUnknownFlags) return "";
  if (a.protocol == IPPROTO_ICMP || a.protocol == IPPROTO_ICMPV6) return "ping";
  if (a.protocol != IPPROTO_TCP) return "";
  if (a.tcp_flags & 2) return "SYN";
  switch (a.tcp_flags & 63) {
    case 0: return "NULL";
    case 1: return "FIN";
    case 16: return "ACK";
    case 17: return "FIN-ACK";
    case 41: return "Xmas";
    default: return "";
  }
}

}  // namespace

void Prober::ForgetFailure(std::uint64_t pair) {
  const auto found = std::find_if(failures_.begin(), failures_.end(), [&](const Failure& f) { return f.pair == pair; });
  if (found == failures_.end()) return;
  if (WeightOf(found->verdict) >= 1) likelihood_ = std::max(0.0, likelihood_ - kStep);
  failures_.erase(found);
}

bool Prober::Note(const Attempt& attempt, Verdict verdict, std::uint64_t mono_ns) {
  const std::uint64_t pair = PairOf(attempt);
  if (verdict == Verdict::kGood) {
    ForgetFailure(pair);
    if (std::any_of(successes_.begin(), successes_.end(), [&](const Success& s) { return s.pair == pair; }))
      return false;
    likelihood_ = std::max(0.0, likelihood_ - kStep);
    if (successes_.size() >= kMostSuccesses) successes_.erase(successes_.begin());
    successes_.push_back({pair, HostOf(attempt), mono_ns, attempt.port});
    return true;
  }
  last_mono_ns_ = std::max(last_mono_ns_, mono_ns);
  const auto found =
      std::find_if(failures_.rbegin(), failures_.rend(), [&](const Failure& f) { return f.pair == pair; });
  if (found != failures_.rend()) {
    if (open_) open_->last_mono_ns = std::max(open_->last_mono_ns, mono_ns);
    if (found->verdict != Verdict::kDoubtful) return false;
    if (verdict != Verdict::kDoubtful) likelihood_ = std::min(kMostLikelihood, likelihood_ + kStep);
    found->verdict = verdict;
    return verdict != Verdict::kDoubtful;
  }
  if (verdict != Verdict::kDoubtful && verdict != Verdict::kPinged)
    likelihood_ = std::min(kMostLikelihood, likelihood_ + kStep);
  if (failures_.size() >= most_failures_) failures_.erase(failures_.begin());
  failures_.push_back({pair, HostOf(attempt), attempt, verdict});
  if (open_) Prove(failures_.back(), mono_ns);
  return true;
}

double Prober::Rate(std::size_t count, std::uint64_t mono_ns) const {
  if (failures_.size() < count || count < 2) return 0;
  const std::uint64_t from = failures_[failures_.size() - count].attempt.mono_ns;
  return static_cast<double>(count - 1) * 1e9 /
         static_cast<double>(std::max<std::uint64_t>(mono_ns - std::min(from, mono_ns), 1));
}

void Prober::Forget() {
  failures_.clear();
  likelihood_ = 0;
}

void Prober::ForgetTarget(const IpAddress& target) {
  const std::size_t before = failures_.size();
  std::erase_if(failures_, [&](const Failure& f) { return f.attempt.target == target; });
  likelihood_ = std::max(0.0, likelihood_ - kStep * static_cast<double>(before - failures_.size()));
}

void Prober::Begin(const Attempt& attempt) {
  if (!hold) return;
  hold->attempts++;
  hold->pairs.Add(PairOf(attempt));
}

std::optional<ScanDecision> Prober::Decide(const ScanOptions& options, double factor, const Lately& lately,
                                           std::uint64_t mono_ns) const {
  const auto window_ns = Nanoseconds(options.window);
  Tally by_host, by_port, pinged;
  for (const Failure& f : failures_) {
    if (f.attempt.mono_ns + window_ns < mono_ns) continue;
    if (f.verdict == Verdict::kPinged) {
      pinged.Add(0, 1, f.attempt.mono_ns);
      continue;
    }
    by_host.Add(f.host, WeightOf(f.verdict), f.attempt.mono_ns);
    by_port.Add(PortKey(f.attempt), WeightOf(f.verdict) * (IsWeakOfHosts(f.attempt, f.verdict) ? 0.5 : 1),
                f.attempt.mono_ns);
  }
  // More may have failed than is kept.
  const auto outweighs = [](double failures, const Lately::Outcomes& outcomes) {
    return std::max(failures, outcomes.bad) >= kFailuresToSuccesses * outcomes.good;
  };
  if (const auto* host = by_host.Most(); host && options.ports != 0 && host->weight >= options.ports * factor) {
    const auto it =
        std::find_if(failures_.begin(), failures_.end(), [&](const Failure& f) { return f.host == host->key; });
    if (outweighs(host->weight, lately.OfHost(source_, it->attempt.target))) {
      return ScanDecision{Shape::kVertical, it->attempt.target,     "scan.vertical.ports",
                          host->weight,     options.ports * factor, host->first_ns};
    }
  }
  if (const auto* port = by_port.Most(); port && options.hosts != 0) {
    const auto it = std::find_if(failures_.begin(), failures_.end(),
                                 [&](const Failure& f) { return PortKey(f.attempt) == port->key; });
    const double needed = options.hosts * factor;
    const bool on_one = port->weight >= needed && outweighs(port->weight, lately.OfPort(it->attempt));
    // Of few ports, each host once on any of them.
    const double spread = static_cast<double>(by_host.size()) - static_cast<double>(by_port.size());
    const bool on_few = by_port.size() <= kFewPorts && spread >= needed && port->weight >= needed / 2 &&
                        outweighs(spread, lately.OfSource(source_));
    const double hosts = on_one ? port->weight : spread;
    if (on_one || on_few)
      return ScanDecision{Shape::kHorizontal,     std::nullopt,  "scan.horizontal.hosts", hosts,
                          options.hosts * factor, port->first_ns};
  }
  if (const auto* row = pinged.Most(); row && options.pinged_hosts != 0 && row->weight >= options.pinged_hosts * factor)
    return ScanDecision{
        Shape::kSweep, std::nullopt, "scan.horizontal.pinged_hosts", row->weight, options.pinged_hosts * factor,
        row->first_ns};
  return DecideSlow(options, factor);
}

// The sequential test needs no window: what counts is how first contacts end.
std::optional<ScanDecision> Prober::DecideSlow(const ScanOptions& options, double factor) const {
  if (likelihood_ < kScanner || options.slow_ports == 0) return std::nullopt;
  Tally by_host, by_port;
  for (const Failure& f : failures_) {
    if (f.verdict == Verdict::kDoubtful || f.verdict == Verdict::kPinged) continue;
    by_host.Add(f.host, 1, f.attempt.mono_ns);
    if (!IsWeakOfHosts(f.attempt, f.verdict)) by_port.Add(PortKey(f.attempt), 1, f.attempt.mono_ns);
  }
  const auto decide = [&](const Tally::Row* row, double needed, const char* rule) -> std::optional<ScanDecision> {
    if (!row || row->weight < needed || row->first_ns + kSlowSpanNs > last_mono_ns_) return std::nullopt;
    return ScanDecision{Shape::kSlow, std::nullopt, rule, row->weight, needed, row->first_ns};
  };
  const auto reached = [&](auto&& counts) {
    return kFailuresToSuccesses * static_cast<double>(std::count_if(successes_.begin(), successes_.end(), counts));
  };
  const auto* host = by_host.Most();
  if (auto decision = decide(host, options.slow_ports * factor, "scan.slow.ports"))
    if (host->weight >= reached([&](const Success& s) { return s.host == host->key; })) {
      decision->target = std::find_if(failures_.begin(), failures_.end(), [&](const Failure& f) {
                           return f.host == host->key;
                         })->attempt.target;
      return decision;
    }
  const auto* port = by_port.Most();
  if (auto decision = decide(port, options.slow_hosts * factor, "scan.slow.hosts"))
    if (port->weight >= reached([&](const Success& s) { return s.port == static_cast<std::uint16_t>(port->key); }))
      return decision;
  return std::nullopt;
}

void Prober::Open(const ScanDecision& decision, std::uint64_t window_ns) {
  open_ = std::make_unique<Evidence>();
  open_->decision = decision;
  open_->window_ns = window_ns;
  open_->first_mono_ns = decision.first_mono_ns;
  for (const Failure& f : failures_)
    if (f.attempt.mono_ns >= decision.first_mono_ns) Prove(f, f.attempt.mono_ns);
  open_->last_mono_ns = std::max(open_->last_mono_ns, last_mono_ns_);
}

void Prober::Prove(const Failure& failure, std::uint64_t mono_ns) {
  Evidence& e = *open_;
  const Attempt& a = failure.attempt;
  const bool has_port = failure.verdict != Verdict::kPinged;
  e.last_mono_ns = std::max(e.last_mono_ns, mono_ns);
  e.verdicts[static_cast<std::size_t>(failure.verdict)]++;
  e.hosts.Add(failure.host);
  if (has_port && !e.ports.test(a.port)) {
    e.ports.set(a.port);
    e.distinct_ports++;
    if (e.first_ports.size() < kMostPorts) e.first_ports.push_back(a.port);
  }
  if (e.first_hosts.size() < kMostHosts &&
      std::find(e.first_hosts.begin(), e.first_hosts.end(), a.target) == e.first_hosts.end())
    e.first_hosts.push_back(a.target);
  if (e.samples.empty()) e.first = a;
  if (e.samples.size() < kMostSamples)
    e.samples.push_back({.time_unix_ns = a.mono_ns,
                         .protocol = a.protocol,
                         .source = {.ip = a.source, .port = has_port ? a.source_port : std::uint16_t{0}},
                         .destination = {.ip = a.target, .port = has_port ? a.port : std::uint16_t{0}},
                         .tcp_flags = a.tcp_flags == kUnknownFlags ? std::uint8_t{0} : a.tcp_flags,
                         .note = VerdictName(failure.verdict)});
  const std::uint64_t second = a.mono_ns / kCountNs * kCountNs;
  if (e.counts.empty() || e.counts.back().time_unix_ns < second) {
    if (e.counts.size() >= kMostCounts) e.counts.erase(e.counts.begin());
    e.counts.push_back({.time_unix_ns = second, .count = {}});
  }
  e.counts.back().count.packets++;
  Observe();
}

// Each failure that is kept is another port or host; where it is both at once, what the rule counts is not known any more.
void Prober::Observe() {
  Evidence& e = *open_;
  const bool one_host = e.first_hosts.size() == 1;
  if (one_host == (e.decision.shape == Shape::kHorizontal || e.decision.shape == Shape::kSweep)) return;
  if (!one_host && e.distinct_ports > 1) return;
  std::uint64_t tried = 0;
  for (const AlertCount& count : e.counts)
    if (e.counts.back().time_unix_ns - count.time_unix_ns < e.window_ns) tried += count.count.packets;
  e.decision.observed = std::max(e.decision.observed, static_cast<double>(tried));
}

std::string Prober::Sentence(const Evidence& e) const {
  const double seconds = static_cast<double>(e.last_mono_ns - std::min(e.first_mono_ns, e.last_mono_ns)) / 1e9;
  const auto hosts = static_cast<std::uint64_t>(std::lround(e.hosts.Estimate()));
  const std::string where = e.first_hosts.size() == 1 ? e.first_hosts[0].ToString() : fmt::format("{} hosts", hosts);
  if (e.decision.shape == Shape::kSweep)
    return fmt::format("{} pinged {} hosts in {:.1f} s", source_.ToString(), hosts, seconds);
  const char* probe = ProbeName(e.first);
  std::string outcome;
  for (const Verdict v : {Verdict::kRefused, Verdict::kAborted, Verdict::kSilent, Verdict::kDoubtful})
    if (const std::uint64_t n = e.verdicts[static_cast<std::size_t>(v)]; n != 0)
      outcome += fmt::format("{}{} {}", outcome.empty() ? "" : ", ", n,
                             v == Verdict::kRefused   ? "refused"
                             : v == Verdict::kAborted ? "answered and then dropped by the asker"
                             : v == Verdict::kSilent  ? "unanswered"
                                                      : "unanswered so far");
  return fmt::format(
      "{} tried {} of {}{}{}{} in {:.1f} s: {}", source_.ToString(),
      e.distinct_ports == 1 ? fmt::format("port {}", e.first_ports[0]) : fmt::format("{} ports", e.distinct_ports),
      where, *probe ? " by " : "", probe, *probe ? " packets" : "", seconds, outcome);
}

void Prober::Describe(Alert* alert, const std::function<std::uint64_t(std::uint64_t)>& unix_ns) const {
  const Evidence& e = *open_;
  const ScanDecision& d = e.decision;
  alert->source = Endpoint{.ip = source_, .port = 0};
  alert->distinct_targets = static_cast<std::uint64_t>(std::lround(e.hosts.Estimate()));
  if (e.first_hosts.size() == 1) {
    alert->target = Endpoint{.ip = e.first_hosts[0], .port = 0};
    alert->distinct_targets = 1;
  }
  alert->rule = {.name = d.rule, .observed = d.observed, .threshold = d.threshold, .window_s = 0};
  alert->evidence_ports = e.first_ports;
  alert->evidence_targets = e.first_hosts;
  alert->distinct_ports = e.distinct_ports;
  alert->counts = e.counts;
  for (AlertCount& count : alert->counts) count.time_unix_ns = unix_ns(count.time_unix_ns);
  alert->samples = e.samples;
  for (AlertSample& sample : alert->samples) sample.time_unix_ns = unix_ns(sample.time_unix_ns);
  for (std::size_t v = 0; v < e.verdicts.size(); v++)
    if (e.verdicts[v] != 0) alert->facts[VerdictName(static_cast<Verdict>(v))] = static_cast<double>(e.verdicts[v]);
  alert->facts["reached"] = static_cast<double>(successes_.size());
  alert->summary = Sentence(e);
}

}  // namespace knp::detect
