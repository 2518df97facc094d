// See http_server.h.
#include "src/agent/http_server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "src/agent/listen_address.h"

namespace knp::agent {

class HttpServer::Impl {
 public:
  Impl() {
    // Scrapers and probes: few connections. Whoever opens more waits, and slow ones are let go.
    server_.new_task_queue = [] { return new httplib::ThreadPool(4); };
    server_.set_read_timeout(5);
    server_.set_write_timeout(10);
    server_.set_keep_alive_max_count(1);  // an idle connection would hold one of the threads, and the end up
    // Not SO_REUSEPORT, with which two agents would share a port unnoticed.
    server_.set_socket_options([](socket_t socket) {
      const int on = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    server_.set_payload_max_length(4096);
    server_.set_exception_handler([](const httplib::Request&, httplib::Response& response, auto&&...) {
      response.status = 500;
      response.set_content("internal error\n", "text/plain");
    });
  }
  ~Impl() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  void Handle(const std::string& path, Handler handler) {
    server_.Get(path, [handler = std::move(handler)](const httplib::Request&, httplib::Response& response) {
      Page page = handler();
      response.status = page.status;
      response.set_content(std::move(page.body), page.type.c_str());
    });
  }

  absl::Status Listen(const std::string& text) {
    const auto address = ParseListenAddress(text);
    if (!address.ok()) return address.status();
    errno = 0;
    if (address->second == 0) {
      port_ = server_.bind_to_any_port(address->first.c_str());
    } else {
      port_ = server_.bind_to_port(address->first.c_str(), address->second) ? address->second : -1;
    }
    if (port_ <= 0)
      return absl::FailedPreconditionError(
          fmt::format("cannot listen at {}: {}", text, errno ? std::strerror(errno) : "no such address"));
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();  // else stop() before that has no effect
    return absl::OkStatus();
  }
  int port() const { return port_; }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

HttpServer::HttpServer() : impl_(std::make_unique<Impl>()) {}
HttpServer::~HttpServer() = default;
void HttpServer::Handle(const std::string& path, Handler handler) { impl_->Handle(path, std::move(handler)); }
absl::Status HttpServer::Listen(const std::string& address) { return impl_->Listen(address); }
int HttpServer::port() const { return impl_->port(); }

}  // namespace knp::agent
