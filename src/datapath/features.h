// What this kernel can do for us: each feature is tried, never guessed from a version. Answers are yes, no, or could not
// tell (missing rights). The one place that decides what we do without.
#ifndef KNP_DATAPATH_FEATURES_H_
#define KNP_DATAPATH_FEATURES_H_

#include <absl/status/statusor.h>
#include <knp/diagnosis.h>

#include <array>
#include <string>
#include <vector>

namespace knp::datapath {

enum class Feature {
  kPrograms,
  kMmap,
  kBatch,
  kJiffies,
  kGso,
  kRingbuf,
  kTcx,
  kClsact,
  kBtf,
  kTpBtf,
  kRawTp,
  kTracepoint,
  kRestart,
  kCount
};

class Features {
 public:
  // `disabled`: comma-separated names, besides those of $KNP_DISABLE_FEATURES. InvalidArgument names an unknown one.
  static absl::StatusOr<Features> Probe(const std::string& disabled);
  // The two halves of Probe.
  static Features ProbeAll();
  absl::Status Disable(const std::string& disabled);

  // There and not switched off.
  bool Has(Feature feature) const;
  // Maybe there (could not tell) and not switched off: worth trying.
  bool MayHave(Feature feature) const;
  // Else the programs for Linux 4.18 are used, which know neither jiffies nor super-packets.
  bool TakesCurrentPrograms() const;
  // What only using it could tell: it is not there after all.
  void Lose(Feature feature, std::string why);
  std::vector<FeatureReport> Reports() const;
  // One line for each report that is degraded: "ringbuf: perf buffer instead …".
  std::vector<std::string> Degraded() const;
  // Unimplemented if there is no way at all.
  absl::Status CheckRequired() const;

 private:
  bool IsMissed(Feature feature) const;
  struct State {
    Answer answer = Answer::kUnknown;
    bool disabled = false;
    std::string detail;
  };
  std::array<State, static_cast<std::size_t>(Feature::kCount)> states_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_FEATURES_H_
