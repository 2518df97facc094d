// The Kubernetes API as a source of identity: one thread, a list and then a watch of each kind of objects. The directory
// keeps what it was told while the API is away. What happens to requests is decided by Reflector (reflector.h), one a kind.
#ifndef KNP_IDENTITY_KUBE_API_SOURCE_H_
#define KNP_IDENTITY_KUBE_API_SOURCE_H_

#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/identity/kube/api_config.h"
#include "src/identity/kube/decode.h"
#include "src/identity/kube/http_client.h"
#include "src/identity/kube/reflector.h"
#include "src/identity/kube/token.h"
#include "src/identity/source.h"

namespace knp::identity::kube {

class ApiSource final : public IdentitySource {
 public:
  struct Options {
    ApiConfig api;
    std::vector<ObjectKind> kinds = {ObjectKind::kNode,          ObjectKind::kPod,        ObjectKind::kService,
                                     ObjectKind::kEndpointSlice, ObjectKind::kReplicaSet, ObjectKind::kJob};
    std::vector<std::string> label_keys;  // of pods, to be kept
    std::string pods_of_node;             // only pods of that node; empty: all of the cluster's
    std::size_t page = 500;
    std::size_t max_line = 4 << 20;
    std::size_t max_page = 64 << 20;
    Timing timing;
    // A kind's state has become another, or its last error has: for a log. From the source's thread. May be empty.
    std::function<void(ObjectKind kind, FeedState state, const std::string& error)> tell;
  };

  // Errors: what is wrong on this side. The API itself is not asked before Start.
  static absl::StatusOr<std::unique_ptr<ApiSource>> Create(const Options& options);
  ~ApiSource() override;

  absl::Status Start(ChangeSink* sink) override;
  void Stop() override;
  SourceStatus Status() const override;

 private:
  class Feed;  // a reflector and its request

  ApiSource(const Options& options, std::unique_ptr<HttpClient> http);
  void Run(const std::stop_token& stop);
  // Begins what is due and gives up what has waited too long. Returns when there is more to do.
  std::uint64_t BeginDue(std::uint64_t now_ns);
  void Publish();

  const Options options_;
  const std::unique_ptr<HttpClient> http_;
  Token token_;
  Decoder decoder_;
  ChangeSink* sink_ = nullptr;
  std::vector<std::unique_ptr<Feed>> feeds_;  // of the thread alone

  mutable std::mutex mutex_;
  SourceStatus status_;  // guarded by mutex_

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace knp::identity::kube

#endif  // KNP_IDENTITY_KUBE_API_SOURCE_H_
