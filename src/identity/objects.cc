// See objects.h and source.h.
#include "src/identity/objects.h"

#include "src/identity/source.h"

namespace knp::identity {

const char* ObjectKindName(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kPod: return "pods";
    case ObjectKind::kNode: return "nodes";
    case ObjectKind::kService: return "services";
    case ObjectKind::kEndpointSlice: return "endpointslices";
    case ObjectKind::kReplicaSet: return "replicasets";
    case ObjectKind::kJob: return "jobs";
  }
  return "";
}

const char* FeedStateName(FeedState state) {
  switch (state) {
    case FeedState::kOff: return "off";
    case FeedState::kListing: return "listing";
    case FeedState::kWatching: return "watching";
    case FeedState::kRetrying: return "retrying";
    case FeedState::kRefused: return "refused";
  }
  return "";
}

bool SourceStatus::Ready() const {
  for (const FeedStatus& feed : feeds) {
    const bool settled = feed.state == FeedState::kOff || feed.state == FeedState::kRefused || feed.complete;
    if (!settled) return false;
  }
  return true;
}

}  // namespace knp::identity
