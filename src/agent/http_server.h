// The agent's few pages over HTTP: /metrics, /healthz, /readyz. The only file beside http_server.cc that would have to change
// for another HTTP library.
#ifndef KNP_AGENT_HTTP_SERVER_H_
#define KNP_AGENT_HTTP_SERVER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>

namespace knp::agent {

struct Page {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  // Called from several threads at once.
  using Handler = std::function<Page()>;

  HttpServer();
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Before Listen. GET and HEAD.
  void Handle(const std::string& path, Handler handler);
  // "ADDRESS:PORT", "[ADDRESS]:PORT"; port 0: any that is free. InvalidArgument: it is none of these. FailedPrecondition: the
  // address is not ours, or taken.
  absl::Status Listen(const std::string& address);
  int port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knp::agent

#endif  // KNP_AGENT_HTTP_SERVER_H_
