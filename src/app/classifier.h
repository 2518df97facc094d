// Which application a conversation belongs to, from the first payloads of each of its directions: nDPI's word, and our
// own reading of what must be exact (TLS server name and ALPN, HTTP/1 request and status). Never from ports or addresses
// alone; unknown rather than wrong. Fed by src/monitor with the data plane's payload samples, read when a flow is told.
#ifndef KNP_APP_CLASSIFIER_H_
#define KNP_APP_CLASSIFIER_H_

#include <absl/status/statusor.h>
#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "src/base/flow_delta.h"

namespace knp::app {

struct ClassifierOptions {
  std::size_t max_detections = 1024;  // conversations under inspection; 1.3 KB each, 6 KB with large samples
  std::size_t max_flows = 1 << 17;    // whose outcome is kept, until Forget; 350 bytes each if it has a name, else 100
  std::size_t max_samples = 8;        // of a flow, both directions together
};

struct ClassifierStats {
  std::uint64_t samples = 0;     // that were looked at
  std::uint64_t identified = 0;  // flows that got a protocol's name
  std::uint64_t unknown = 0;     // flows in which nothing known was found
  std::uint64_t given_up = 0;    // flows whose samples ended before either
  std::uint64_t evicted = 0;     // flows that had to make place for newer ones while under inspection
  std::uint64_t outcomes_evicted = 0;
  std::size_t detections = 0;  // now
  std::size_t flows = 0;       // now
};

// One thread at a time.
class Classifier {
 public:
  static absl::StatusOr<std::unique_ptr<Classifier>> Create(const ClassifierOptions& options = {});
  ~Classifier();
  Classifier(const Classifier&) = delete;
  Classifier& operator=(const Classifier&) = delete;

  // `flow_id` as the flow layer numbers them; `from_opener`: the side that opened the flow sent it. Cheap for flows whose
  // inspection is over. Of a flow that several interfaces see, the first one's samples count.
  void OnPayload(const PayloadSample& sample, std::uint64_t flow_id, bool from_opener);

  // What is known so far, nullptr if nothing. Valid until the next call that is not const.
  const AppDetail* Find(std::uint64_t flow_id) const;

  // The flow is over: nothing of it is kept.
  void Forget(std::uint64_t flow_id);

  const ClassifierStats& stats() const;

 private:
  class Impl;
  explicit Classifier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace knp::app

#endif  // KNP_APP_CLASSIFIER_H_
