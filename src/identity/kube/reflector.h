// Keeps one kind of objects up to date: reads all of them by pages, then watches what changes, and knows what to do when
// either fails. Makes no connections and reads no clock: ApiSource (api_source.h) carries its requests out and tells it
// what came. Not thread-safe. `now_ns` is of the monotonic clock.
//
// What goes wrong and how: https://kubernetes.io/docs/reference/using-api/api-concepts/ and docs/identity.md.
#ifndef KNP_IDENTITY_KUBE_REFLECTOR_H_
#define KNP_IDENTITY_KUBE_REFLECTOR_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include "src/identity/kube/decode.h"
#include "src/identity/source.h"

namespace knp::identity::kube {

struct Timing {
  std::chrono::milliseconds backoff_min = std::chrono::seconds(1);  // doubles with each failure, and is jittered
  std::chrono::milliseconds backoff_max = std::chrono::seconds(60);
  std::chrono::milliseconds refused = std::chrono::minutes(10);  // until what was refused is asked for again
  std::chrono::milliseconds watch = std::chrono::seconds(300);   // the server ends a watch by then; jittered
  std::chrono::milliseconds silence = std::chrono::minutes(6);   // a watch that says nothing is not to be trusted
  std::chrono::milliseconds stall = std::chrono::seconds(30);    // an answer that does not come or go on is given up
  std::chrono::milliseconds retry_after_max = std::chrono::minutes(5);
  std::chrono::milliseconds token = std::chrono::seconds(45);  // until a token's file is read again
};

struct Request {
  std::string target;  // path and query
  std::string accept;
  bool watch = false;
};

class Reflector {
 public:
  struct Options {
    Timing timing;
    std::size_t page = 500;
    std::size_t max_line = 4 << 20;   // bytes of one event
    std::size_t max_page = 64 << 20;  // bytes of one page
    std::string field_selector;
    std::uint64_t seed = 0;  // of the jitter
  };
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  Reflector(ObjectKind kind, const Options& options, Decoder* decoder, ChangeSink* sink);
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

  // When the next request is due; kNever while one is under way.
  std::uint64_t due_ns() const { return due_ns_; }
  // By when the request that is under way must have come further.
  std::uint64_t deadline_ns() const;

  // One request at a time: Begin, OnHead, OnBody as often as there is something, OnEnd; the last without the others if there
  // was no answer.
  Request Begin(std::uint64_t now_ns, std::uint64_t now_unix_ns);
  void OnHead(int http_status, std::uint64_t retry_after_s, std::uint64_t now_ns, std::uint64_t now_unix_ns);
  // False: give the request up; OnEnd follows.
  bool OnBody(std::string_view data, std::uint64_t now_ns, std::uint64_t now_unix_ns);
  // `error`: empty if the answer came to its end, else what cut it off.
  void OnEnd(const std::string& error, std::uint64_t now_ns, std::uint64_t now_unix_ns);

  ObjectKind kind() const { return kind_; }
  // The answer was 401: the token should be read again before the next request.
  bool unauthorized() const { return unauthorized_; }
  const FeedStatus& status() const { return status_; }

 private:
  enum class Next : std::uint8_t { kList, kWatch };

  // reflector.cc: what happens as it should.
  std::string WatchQuery();
  std::string ListQuery() const;
  bool OnLine(std::string_view line, std::uint64_t now_ns, std::uint64_t now_unix_ns);
  void OnPage(std::uint64_t now_ns, std::uint64_t now_unix_ns);
  void Heard(std::uint64_t now_ns);

  // reflector_failure.cc: what does not.
  void OnListEnd(const std::string& error, std::uint64_t now_ns, std::uint64_t now_unix_ns);
  void OnWatchEnd(const std::string& error, std::uint64_t now_ns);
  void OnErrorEvent(std::uint64_t now_ns);
  void OnRefusal(std::uint64_t now_ns);
  void Fail(const std::string& why, std::uint64_t now_ns, std::uint64_t retry_after_s = 0);
  void FailWatch(const std::string& why, int attempts, std::uint64_t now_ns, std::uint64_t retry_after_s = 0);
  void Relist();
  void NoteError(const std::string& why);
  std::string What() const;
  std::uint64_t Jittered(std::uint64_t ns);

  const ObjectKind kind_;
  const Options options_;
  Decoder* const decoder_;
  ChangeSink* const sink_;
  std::mt19937_64 random_;
  FeedStatus status_;

  Next next_ = Next::kList;
  std::uint64_t due_ns_ = 0;
  std::string resource_version_;  // up to which changes are known
  std::string continue_token_;    // of the next page
  std::size_t page_;              // 0: all at once
  std::uint64_t listed_ = 0;      // objects of the list that is being read
  int expired_lists_ = 0;         // in a row
  int failures_ = 0;              // in a row
  int watch_failures_ = 0;        // of one resource version
  bool unauthorized_ = false;

  // Of the request that is under way.
  int http_status_ = 0;  // 0: no answer yet
  std::uint64_t retry_after_s_ = 0;
  std::uint64_t active_ns_ = 0;  // when something came last
  std::uint64_t opened_ns_ = 0;  // a watch: when its answer began
  std::string body_;             // a list's page, a watch's last line, an error's text
  std::string trouble_;          // why we gave it up; empty: we did not
  bool error_event_ = false;
  bool heard_ = false;
  ApiStatus error_;
  // A watch's: when it said something last, and how long those before it have said nothing.
  std::uint64_t heard_ns_ = 0;
  std::uint64_t quiet_ns_ = 0;
};

}  // namespace knp::identity::kube

#endif  // KNP_IDENTITY_KUBE_REFLECTOR_H_
