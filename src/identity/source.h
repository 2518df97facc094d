// Where a directory's knowledge comes from: a source feeds a sink with changes, from a thread of its own. The first source is
// the Kubernetes API (kube/api_source.h); the sink is the Directory (directory.h).
#ifndef KNP_IDENTITY_SOURCE_H_
#define KNP_IDENTITY_SOURCE_H_

#include <absl/status/status.h>

#include <array>
#include <cstdint>
#include <string>

#include "src/identity/objects.h"

namespace knp::identity {

class ChangeSink {
 public:
  virtual ~ChangeSink() = default;
  // `received_unix_ns`: by this host's clock, which alone decides who held an address when.
  virtual void Apply(Change change, std::uint64_t received_unix_ns) = 0;
  // Time passes without a change; about once a second.
  virtual void Advance(std::uint64_t now_unix_ns) = 0;
};

enum class FeedState : std::uint8_t {
  kOff,       // not asked for
  kListing,   // all objects are being read
  kWatching,  // changes arrive
  kRetrying,  // what was known stays; the next attempt has its time
  kRefused,   // not allowed, or the cluster has no such thing; asked again seldom
};

// "off", "listing", "watching", "retrying", "refused".
const char* FeedStateName(FeedState state);

// How one kind of objects fares.
struct FeedStatus {
  FeedState state = FeedState::kOff;
  bool complete = false;  // all objects have been read once
  std::uint64_t objects = 0;
  std::uint64_t events = 0;     // changes since the start, without bookmarks
  std::uint64_t bookmarks = 0;  // "nothing has changed up to here"
  std::uint64_t lists = 0;      // complete ones; the first is one of them
  std::uint64_t watches = 0;    // begun
  std::uint64_t errors = 0;     // requests that failed, and objects that made no sense
  std::string last_error;       // empty: none yet
  std::uint64_t last_contact_unix_ns = 0;
};

struct SourceStatus {
  std::array<FeedStatus, kObjectKinds> feeds;  // by ObjectKind
  // Everything that may be read has been read once. Stays true while the source is away: what is known stays.
  bool Ready() const;
};

class IdentitySource {
 public:
  virtual ~IdentitySource() = default;
  // Once. `sink` lives until Stop() or the destructor has returned.
  virtual absl::Status Start(ChangeSink* sink) = 0;
  // Returns when the sink is called no more.
  virtual void Stop() = 0;
  // Thread-safe.
  virtual SourceStatus Status() const = 0;
};

}  // namespace knp::identity

#endif  // KNP_IDENTITY_SOURCE_H_
