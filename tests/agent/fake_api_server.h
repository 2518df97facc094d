// A Kubernetes API server for tests, on loopback, with what the real one does to its clients: pages, watches, bookmarks,
// expired versions, refusals, cut connections. Plain sockets, so that an answer can be cut anywhere. Thread-safe.
#ifndef KNP_TESTS_AGENT_FAKE_API_SERVER_H_
#define KNP_TESTS_AGENT_FAKE_API_SERVER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/base/unique_fd.h"
#include "tests/agent/tls_identity.h"

namespace knp::testing {

struct ApiRequest {
  std::string resource;  // "pods"
  bool watch = false;
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case
};

// What the next request of a kind gets in place of the truth.
struct ScriptedAnswer {
  int status = 200;
  std::string body;
  std::vector<std::string> headers;
  bool cut = false;   // the connection breaks before the end of the body
  bool hang = false;  // no answer, until the server stops
};

class FakeApiServer {
 public:
  // `tls`: null for plain HTTP.
  explicit FakeApiServer(const TlsIdentity* tls = nullptr);
  ~FakeApiServer();
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  std::string url() const;

  // `json` has %RV% where its resourceVersion belongs. Watches are told.
  void Put(const std::string& resource, const std::string& key, const std::string& json);
  void Delete(const std::string& resource, const std::string& key);
  // Removed without an event, as if it had happened while nobody looked.
  void Lose(const std::string& resource, const std::string& key);

  void Answer(const std::string& resource, bool watch, ScriptedAnswer answer);
  void RequireToken(const std::string& token);
  void SetPage(std::size_t limit);  // pages are never larger; 0: as the client asks
  void Bookmark(const std::string& resource);
  void Send(const std::string& resource, const std::string& bytes);  // to the watches, as a chunk
  void EndWatches(const std::string& resource);                      // with the terminal chunk
  void CutWatches(const std::string& resource);                      // in the middle of an event
  // Versions up to now are no longer known: watches from them get 200 and an ERROR, continues 410.
  void Compact();
  // Nobody is served; connections are refused until Resume, which listens at the same port.
  void Suspend();
  void Resume();

  std::vector<ApiRequest> requests(const std::string& resource, bool watch) const;
  std::size_t Count(const std::string& resource, bool watch) const { return requests(resource, watch).size(); }

 private:
  class Connection;
  struct Watch {
    std::string resource;
    std::deque<std::string> pieces;
    bool end = false, cut = false;
  };
  struct Resource {
    std::map<std::string, std::string> objects;
    std::vector<std::pair<std::uint64_t, std::string>> log;  // version, line
    std::deque<ScriptedAnswer> scripts[2];                   // lists', watches'
  };

  void Listen(std::uint16_t port);
  void Accept();
  void Serve(int fd);
  bool Respond(Connection* connection, const ApiRequest& request);
  bool RespondList(Connection* connection, const ApiRequest& request);
  bool RespondWatch(Connection* connection, const ApiRequest& request);
  bool RespondScript(Connection* connection, const ScriptedAnswer& answer);
  void Tell(const std::string& resource, const std::string& type, const std::string& json);  // with mutex_ held
  void Command(const std::string& resource, const std::function<void(Watch*)>& command);

  const TlsIdentity* const tls_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::uint64_t version_ = 100, compacted_ = 0;
  std::size_t page_ = 0;
  std::string token_;
  std::map<std::string, Resource> resources_;
  std::list<Watch*> watches_;
  std::vector<ApiRequest> requests_;
  std::vector<int> open_;
  std::vector<std::thread> serving_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::thread accepting_;
};

}  // namespace knp::testing

#endif  // KNP_TESTS_AGENT_FAKE_API_SERVER_H_
