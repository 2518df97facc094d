// See scan.h.
#include "src/detect/scan/scan.h"

#include <netinet/in.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "src/base/nanoseconds.h"

namespace knp::detect {
namespace {

constexpr std::uint64_t kQuietNs = 60 * kSecondNs;
constexpr std::uint64_t kForgetNs = 3600 * kSecondNs;
constexpr std::uint64_t kForever = ~std::uint64_t{0};
constexpr double kSharedFactor = 10;
// Faster than this a flood looks the same at first: what follows decides.
constexpr double kFastPerSecond = 2000;
constexpr std::uint64_t kLeastHoldNs = kSecondNs + kSecondNs / 4, kHoldNs = 3 * kSecondNs, kMuteNs = 60 * kSecondNs;
constexpr double kFloodPackets = 20000, kLargePacket = 150, kAllPorts = 65536;
constexpr double kFloodRepeats = 1.3;
constexpr std::size_t kKnownBits = std::size_t{1} << 20, kMetBits = std::size_t{1} << 22;
constexpr std::uint64_t kMetNs = 60 * kSecondNs;

std::uint64_t ServiceHash(const Attempt& a) {
  return Mix(HashOf(a.target) ^ (std::uint64_t{a.protocol} << 16 | a.port));
}
std::uint64_t PairHash(const Attempt& a) { return Mix(HashOf(a.source) + ServiceHash(a)); }

const char* TypeOf(Shape shape) {
  switch (shape) {
    case Shape::kVertical: return "scan.vertical";
    case Shape::kHorizontal:
    case Shape::kSweep: return "scan.horizontal";
    case Shape::kSlow: return "scan.slow";
  }
  return "";
}

// Pings, and a few failures now and then, are how others begin.
bool IsWeak(Shape shape) { return shape == Shape::kSweep || shape == Shape::kSlow; }

// A slow scan is not over between two probes.
std::uint64_t QuietOf(Shape shape) { return shape == Shape::kSlow ? kForgetNs : kQuietNs; }

}  // namespace

Scan::Scan(const Surroundings& surroundings)
    : options_(surroundings.options.scan),
      alerts_(surroundings.alerts),
      unix_ns_(surroundings.unix_ns),
      attempts_([this](const Attempt& attempt, Verdict verdict,
                       std::uint64_t mono_ns) { OnVerdict(attempt, verdict, mono_ns); },
                [this](const Attempt& attempt) {
                  if (const auto found = probers_.find(attempt.source); found != probers_.end())
                    found->second->Begin(attempt);
                }),
      shared_(
          options_, unix_ns_,
          [this](const Alert& alert, std::uint64_t first_mono_ns, std::uint64_t last_mono_ns, std::uint64_t mono_ns) {
            alerts_.Tell({.alert = alert,
                          .key = alert.target->ip.ToString(),
                          .first_mono_ns = first_mono_ns,
                          .last_mono_ns = last_mono_ns,
                          .quiet_ns = kQuietNs},
                         mono_ns);
          }),
      works_(kKnownBits, kForgetNs),
      pinged_(kKnownBits, 6 * kForgetNs),
      met_(kMetBits, kMetNs, kMetBits / 16) {}

std::unique_ptr<Detector> MakeScan(const Surroundings& surroundings) {
  if (!surroundings.options.scan.enabled) return nullptr;
  return std::make_unique<Scan>(surroundings);
}

double Scan::FactorOf(const IpAddress& source) const {
  const auto& shared = options_.shared_sources;
  return std::any_of(shared.begin(), shared.end(), [&](const Prefix& p) { return p.Contains(source); }) ? kSharedFactor
                                                                                                        : 1;
}

void Scan::Succeeded(const Attempt& attempt, std::uint64_t mono_ns) {
  works_.Add(ServiceHash(attempt), mono_ns);
  works_.Add(PairHash(attempt), mono_ns);
  lately_.Succeeded(attempt, mono_ns);
  shared_.OnSuccess(attempt);
  if (const auto found = probers_.find(attempt.source); found != probers_.end())
    found->second->Note(attempt, Verdict::kGood, mono_ns);
}

void Scan::OnVerdict(const Attempt& attempt, Verdict verdict, std::uint64_t mono_ns) {
  if (verdict == Verdict::kGood) return Succeeded(attempt, mono_ns);
  if (verdict == Verdict::kPinged) {
    // Who pings the same hosts again and again watches over them.
    if (pinged_.Has(PairHash(attempt), mono_ns)) return;
    pinged_.Add(PairHash(attempt), mono_ns);
  } else if (verdict != Verdict::kAborted && works_.Has(ServiceHash(attempt), mono_ns)) {
    return;  // it worked within the hour: a failure now says something of the service, not of who asks
  }
  Prober* prober = ProberOf(attempt.source, verdict, mono_ns);
  if (!prober || prober->muted_until_ns > mono_ns) return;
  const bool news = prober->Note(attempt, verdict, mono_ns);
  if (!news) return;
  if (verdict != Verdict::kPinged && verdict != Verdict::kDoubtful) {
    lately_.Failed(attempt);
    shared_.OnFailure(attempt, verdict);
  }
  if (!prober->is_open() || IsWeak(prober->decision().shape)) Consider(prober, mono_ns, false);
}

Prober* Scan::ProberOf(const IpAddress& source, Verdict verdict, std::uint64_t mono_ns) {
  auto found = probers_.find(source);
  if (found != probers_.end()) return found->second.get();
  const bool full = probers_.size() >= kMostProbers;
  if (full && verdict == Verdict::kDoubtful) return nullptr;  // it will be told once more
  const bool met = met_.Has(HashOf(source), mono_ns);
  met_.Add(HashOf(source), mono_ns);
  if (full) {
    // Invented sources come once: who is met again takes the place of who did least.
    if (!met) return nullptr;
    const auto least = std::min_element(probers_.begin(), probers_.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second->is_open() ? std::size_t{1'000'000} : a.second->failures(), a.second->last_mono_ns()) <
             std::pair(b.second->is_open() ? std::size_t{1'000'000} : b.second->failures(), b.second->last_mono_ns());
    });
    if (least->second->is_open() || least->second->hold) return nullptr;
    probers_.erase(least);
  }
  return probers_.try_emplace(source, std::make_unique<Prober>(source, FactorOf(source))).first->second.get();
}

// A flood at one host's many ports begins as a fast scan does. A scan asks for each thing once or twice.
bool Scan::IsHeldBack(Prober* prober, const ScanDecision& decision, std::uint64_t mono_ns, bool finish) {
  if (!prober->hold) {
    const bool fast =
        attempts_.Recent(prober->source()) >= kFastPerSecond ||
        prober->Rate(std::min<std::size_t>(prober->failures(), options_.ports), mono_ns) >= kFastPerSecond;
    if (!fast || finish) return false;
    prober->hold = std::make_unique<Prober::Hold>();
    prober->hold->since_mono_ns = mono_ns;
    if (decision.target) prober->hold->target = *decision.target;
    held_++;
    return true;
  }
  const Prober::Hold& hold = *prober->hold;
  const std::uint64_t held_ns = mono_ns - std::min(hold.since_mono_ns, mono_ns);
  const bool goes_on = static_cast<double>(hold.attempts) * 1e9 > kFastPerSecond * static_cast<double>(held_ns);
  if (!finish && (held_ns < kLeastHoldNs || (goes_on && held_ns < kHoldNs))) return true;
  const auto packets = static_cast<double>(std::max(hold.attempts, hold.packets));
  const bool again = packets > kFloodRepeats * hold.pairs.Estimate();
  const bool large = static_cast<double>(hold.bytes) > kLargePacket * static_cast<double>(hold.packets);
  const bool too_many = packets + static_cast<double>(hold.folded) > kFloodRepeats * kAllPorts && decision.target;
  const bool flood = (packets > kFloodPackets && (again || large)) || too_many;
  Release(prober);
  if (!flood) return false;
  prober->muted_until_ns = mono_ns + kMuteNs;
  prober->Forget();  // or one failure more would make a slow scan of them
  return true;
}

void Scan::Release(Prober* prober) {
  prober->hold.reset();
  held_--;
}

void Scan::Consider(Prober* prober, std::uint64_t mono_ns, bool finish) {
  if (!prober->hold && prober->failures() < std::min({options_.slow_ports, options_.ports, options_.slow_hosts}))
    return;
  std::optional<ScanDecision> decision = prober->Decide(options_, FactorOf(prober->source()), lately_, mono_ns);
  if (decision && prober->is_open() && IsWeak(decision->shape)) decision.reset();  // nothing more than is told already
  if (!decision && prober->hold) Release(prober);                                  // answered meanwhile
  if (!decision || IsHeldBack(prober, *decision, mono_ns, finish)) return;
  Open(prober, *decision, mono_ns);
}

void Scan::Open(Prober* prober, const ScanDecision& decision, std::uint64_t mono_ns) {
  const bool one_host = decision.shape == Shape::kVertical || (decision.shape == Shape::kSlow && decision.target);
  // With decoys the same is done in several names. What this one does elsewhere is still looked at by itself.
  if (one_host && decision.target && shared_.Joins(prober->source(), *decision.target, mono_ns))
    return prober->ForgetTarget(*decision.target);
  const std::string key = prober->source().ToString();
  if (prober->is_open() && TypeOf(prober->decision().shape) != std::string_view(TypeOf(decision.shape)))
    alerts_.Close(TypeOf(prober->decision().shape), key, mono_ns);  // it goes on as what it turned out to be
  prober->Open(decision, decision.shape == Shape::kSlow ? kForever : Nanoseconds(options_.window));
  Tell(*prober, mono_ns);
}

void Scan::Tell(const Prober& prober, std::uint64_t mono_ns) {
  const ScanDecision& decision = prober.decision();
  Finding finding;
  prober.Describe(&finding.alert, unix_ns_);
  finding.alert.type = TypeOf(decision.shape);
  finding.alert.severity = decision.shape == Shape::kSweep ? "low" : "medium";
  finding.alert.rule.window_s =
      decision.shape == Shape::kSlow ? 0 : static_cast<double>(options_.window.count()) / 1000;
  finding.key = prober.source().ToString();
  finding.first_mono_ns = decision.first_mono_ns;
  finding.last_mono_ns = prober.last_mono_ns();
  finding.quiet_ns = QuietOf(decision.shape);
  alerts_.Tell(finding, mono_ns);
}

void Scan::OnCarried(const Contact& contact, const Carried& carried) {
  if (held_ == 0 || contact.stage >= Stage::kCompleted) return;
  if (contact.folded) {
    for (auto& [source, prober] : probers_)
      if (prober->hold && prober->hold->target == contact.server) prober->hold->folded += carried.sent.packets;
    return;
  }
  const auto found = probers_.find(contact.client);
  if (found == probers_.end() || !found->second->hold) return;
  // An attempt by TCP has a reset behind it, mostly.
  if (contact.protocol != IPPROTO_TCP) found->second->hold->packets += carried.sent.packets;
  found->second->hold->bytes += carried.sent.bytes;
}

void Scan::Advance(std::uint64_t mono_ns) {
  attempts_.Advance(mono_ns);
  for (auto it = probers_.begin(); it != probers_.end();) {
    const auto current = it++;
    Prober& prober = *current->second;
    if (prober.hold) Consider(&prober, mono_ns, false);
    if (prober.is_open()) {
      // One that was folded into others' alert gets its own as soon as there is room.
      if (prober.last_mono_ns() + QuietOf(prober.decision().shape) <= mono_ns)
        prober.CloseUp();
      else
        Tell(prober, mono_ns);
    }
    if (!prober.is_open() && prober.last_mono_ns() + kForgetNs < mono_ns) probers_.erase(current);
  }
  shared_.Advance(mono_ns, false);
  lately_.Advance(mono_ns);
}

void Scan::Finish(std::uint64_t mono_ns) {
  attempts_.Advance(mono_ns);
  for (auto& [source, prober] : probers_) {
    if (prober->hold) Consider(prober.get(), mono_ns, true);
    if (prober->is_open() && alerts_.IsOpen(TypeOf(prober->decision().shape), source.ToString()))
      Tell(*prober, mono_ns);
  }
  shared_.Advance(mono_ns, true);
}

}  // namespace knp::detect
