// See fake_api_server.h.
#include "tests/agent/fake_api_server.h"

#include <absl/strings/ascii.h>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <zlib.h>

#include <algorithm>
#include <utility>

namespace knp::testing {
namespace {

std::string Unescape(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      plain += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

ApiRequest Parse(const std::string& head) {
  ApiRequest request;
  const std::string target = head.substr(4, head.find(' ', 4) - 4);
  const std::string path = target.substr(0, target.find('?'));
  request.resource = path.substr(path.rfind('/') + 1);
  if (const std::size_t at = target.find('?'); at != std::string::npos) {
    for (std::size_t from = at + 1; from < target.size();) {
      const std::size_t end = std::min(target.find('&', from), target.size());
      const std::size_t equals = std::min(target.find('=', from), end);
      request.query[target.substr(from, equals - from)] =
          Unescape(target.substr(std::min(equals + 1, end), end - equals - 1));
      from = end + 1;
    }
  }
  request.watch = request.query.count("watch") > 0;
  for (std::size_t from = head.find("\r\n") + 2; from < head.size();) {
    const std::size_t end = head.find("\r\n", from);
    const std::size_t colon = head.find(':', from);
    if (end == std::string::npos || colon == std::string::npos || colon > end) break;
    request.headers[absl::AsciiStrToLower(head.substr(from, colon - from))] = head.substr(colon + 2, end - colon - 2);
    from = end + 2;
  }
  return request;
}

std::string Versioned(std::string json, std::uint64_t version) {
  const std::size_t at = json.find("%RV%");
  return at == std::string::npos ? json : json.replace(at, 4, std::to_string(version));
}

std::string Status(int code, const std::string& reason, const std::string& metadata = "{}") {
  return fmt::format(R"({{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"it is {}",)"
                     R"("reason":"{}","code":{}}})",
                     metadata, reason, reason, code);
}

std::string Gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string Chunk(const std::string& bytes) { return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes); }

}  // namespace

class FakeApiServer::Connection {
 public:
  Connection(int fd, SSL_CTX* context) : fd_(fd) {
    if (!context) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd);
    usable_ = SSL_accept(ssl_) == 1;
  }
  ~Connection() {
    if (ssl_) SSL_free(ssl_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The head of the next request; empty: there is none.
  std::string ReadHead() {
    std::string head;
    while (usable_ && !head.ends_with("\r\n\r\n")) {
      char c = 0;
      const long got = ssl_ ? SSL_read(ssl_, &c, 1) : recv(fd_, &c, 1, 0);
      if (got <= 0) return "";
      head += c;
    }
    return head;
  }
  bool Write(const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const long sent = ssl_ ? SSL_write(ssl_, bytes.data() + at, static_cast<int>(bytes.size() - at))
                             : send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<std::size_t>(sent);
    }
    return true;
  }
  bool Reply(int status, const std::string& body, const std::vector<std::string>& headers, std::size_t missing = 0) {
    std::string head = fmt::format("HTTP/1.1 {} Something\r\nContent-Length: {}\r\n", status, body.size() + missing);
    for (const std::string& header : headers) head += header + "\r\n";
    return Write(head + "\r\n" + body);
  }

 private:
  const int fd_;
  SSL* ssl_ = nullptr;
  bool usable_ = true;
};

FakeApiServer::FakeApiServer(const TlsIdentity* tls) : tls_(tls) { Listen(0); }

FakeApiServer::~FakeApiServer() { Suspend(); }

std::string FakeApiServer::url() const { return fmt::format("{}://127.0.0.1:{}", tls_ ? "https" : "http", port_); }

void FakeApiServer::Listen(std::uint16_t port) {
  listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  listen(listener_.get(), 64);
  socklen_t size = sizeof address;
  getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { Accept(); });
}

void FakeApiServer::Accept() {
  for (;;) {
    pollfd waiting = {listener_.get(), POLLIN, 0};
    const int ready = poll(&waiting, 1, 20);
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    if (ready <= 0) continue;
    const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    open_.push_back(fd);
    serving_.emplace_back([this, fd] { Serve(fd); });
  }
}

void FakeApiServer::Serve(int fd) {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  {
    Connection connection(fd, tls_ ? tls_->context() : nullptr);
    for (;;) {
      const std::string head = connection.ReadHead();
      if (head.empty() || !Respond(&connection, Parse(head))) break;
    }
  }
  const std::lock_guard lock(mutex_);
  open_.erase(std::remove(open_.begin(), open_.end(), fd), open_.end());
  const linger at_once = {1, 0};
  if (!tls_) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

void FakeApiServer::Suspend() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    changed_.notify_all();
  }
  if (accepting_.joinable()) accepting_.join();
  for (std::thread& thread : serving_) thread.join();
  serving_.clear();
  listener_.Reset();
}

void FakeApiServer::Resume() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = false;
  }
  Listen(port_);
}

bool FakeApiServer::Respond(Connection* connection, const ApiRequest& request) {
  ScriptedAnswer scripted;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    const auto authorization = request.headers.find("authorization");
    const bool allowed =
        token_.empty() || (authorization != request.headers.end() && authorization->second == "Bearer " + token_);
    std::deque<ScriptedAnswer>& scripts = resources_[request.resource].scripts[request.watch];
    if (!allowed) {
      scripted = {401, Status(401, "Unauthorized"), {}, false, false};
    } else if (!scripts.empty()) {
      scripted = std::move(scripts.front());
      scripts.pop_front();
    } else {
      scripted.status = 0;
    }
  }
  if (scripted.status != 0) return RespondScript(connection, scripted);
  return request.watch ? RespondWatch(connection, request) : RespondList(connection, request);
}

bool FakeApiServer::RespondScript(Connection* connection, const ScriptedAnswer& answer) {
  if (answer.hang) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_; });
    return false;
  }
  return connection->Reply(answer.status, answer.body, answer.headers, answer.cut ? 100 : 0) && !answer.cut;
}

bool FakeApiServer::RespondList(Connection* connection, const ApiRequest& request) {
  const auto argument = [&](const char* name) {
    const auto found = request.query.find(name);
    return found == request.query.end() ? std::string() : found->second;
  };
  std::string body;
  int status = 200;
  {
    const std::lock_guard lock(mutex_);
    const Resource& resource = resources_[request.resource];
    std::size_t limit = argument("limit").empty() ? resource.objects.size() : std::stoul(argument("limit"));
    if (page_ != 0 && !argument("limit").empty()) limit = std::min(limit, page_);
    std::uint64_t version = version_;
    auto from = resource.objects.begin();
    if (const std::string token = argument("continue"); !token.empty()) {
      version = std::stoull(token);
      from = resource.objects.upper_bound(token.substr(token.find('~') + 1));
    }
    std::string items, last;
    for (; from != resource.objects.end() && limit > 0; ++from, --limit) {
      items += (items.empty() ? "" : ",") + from->second;
      last = from->first;
    }
    const std::string next = from == resource.objects.end() ? "" : fmt::format("{}~{}", version, last);
    body = fmt::format(R"({{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"{}","continue":"{}"}},)"
                       R"("items":[{}]}})",
                       version, next, items);
    if (version <= compacted_ && !argument("continue").empty()) {
      status = 410;
      body = Status(410, "Expired", fmt::format(R"({{"continue":"{}~{}"}})", version_, argument("continue")));
    }
  }
  const auto accepted = request.headers.find("accept-encoding");
  if (accepted == request.headers.end() || accepted->second.find("gzip") == std::string::npos)
    return connection->Reply(status, body, {"Content-Type: application/json"});
  return connection->Reply(status, Gzip(body), {"Content-Type: application/json", "Content-Encoding: gzip"});
}

bool FakeApiServer::RespondWatch(Connection* connection, const ApiRequest& request) {
  Watch watch;
  watch.resource = request.resource;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t from = std::stoull(request.query.at("resourceVersion"));
    if (from < compacted_) {
      watch.pieces.push_back(fmt::format("{{\"type\":\"ERROR\",\"object\":{}}}\n", Status(410, "Expired")));
      watch.end = true;
    } else {
      for (const auto& [version, line] : resources_[request.resource].log)
        if (version > from) watch.pieces.push_back(line);
    }
    watches_.push_back(&watch);
  }
  bool usable =
      connection->Write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::unique_lock lock(mutex_);
  while (usable) {
    changed_.wait(lock, [&] { return stopping_ || watch.end || watch.cut || !watch.pieces.empty(); });
    if (stopping_) break;
    if (!watch.pieces.empty()) {
      const std::string piece = std::move(watch.pieces.front());
      watch.pieces.pop_front();
      lock.unlock();
      usable = connection->Write(Chunk(piece));
      lock.lock();
      continue;
    }
    usable =
        connection->Write(watch.cut ? "400\r\n{\"type\":\"ADDED\",\"object\":{\"metad" : "0\r\n\r\n") && !watch.cut;
    break;
  }
  watches_.remove(&watch);
  return usable && !stopping_;
}

void FakeApiServer::Tell(const std::string& resource, const std::string& type, const std::string& json) {
  const std::string line = fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, json);
  resources_[resource].log.emplace_back(version_, line);
  for (Watch* watch : watches_)
    if (watch->resource == resource) watch->pieces.push_back(line);
  changed_.notify_all();
}

void FakeApiServer::Put(const std::string& resource, const std::string& key, const std::string& json) {
  const std::lock_guard lock(mutex_);
  const std::string object = Versioned(json, ++version_);
  std::map<std::string, std::string>& objects = resources_[resource].objects;
  const bool known = objects.count(key) > 0;
  objects[key] = object;
  Tell(resource, known ? "MODIFIED" : "ADDED", object);
}

void FakeApiServer::Delete(const std::string& resource, const std::string& key) {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::string>& objects = resources_[resource].objects;
  const auto found = objects.find(key);
  if (found == objects.end()) return;
  ++version_;
  Tell(resource, "DELETED", found->second);
  objects.erase(found);
}

void FakeApiServer::Lose(const std::string& resource, const std::string& key) {
  const std::lock_guard lock(mutex_);
  ++version_;
  resources_[resource].objects.erase(key);
}

void FakeApiServer::Answer(const std::string& resource, bool watch, ScriptedAnswer answer) {
  const std::lock_guard lock(mutex_);
  resources_[resource].scripts[watch].push_back(std::move(answer));
}

void FakeApiServer::RequireToken(const std::string& token) {
  const std::lock_guard lock(mutex_);
  token_ = token;
}

void FakeApiServer::SetPage(std::size_t limit) {
  const std::lock_guard lock(mutex_);
  page_ = limit;
}

void FakeApiServer::Command(const std::string& resource, const std::function<void(Watch*)>& command) {
  const std::lock_guard lock(mutex_);
  for (Watch* watch : watches_)
    if (watch->resource == resource) command(watch);
  changed_.notify_all();
}

void FakeApiServer::Bookmark(const std::string& resource) {
  Command(resource, [&](Watch* watch) {
    watch->pieces.push_back(fmt::format(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{}\"}}}}}}\n", version_));
  });
}

void FakeApiServer::Send(const std::string& resource, const std::string& bytes) {
  Command(resource, [&](Watch* watch) { watch->pieces.push_back(bytes); });
}

void FakeApiServer::EndWatches(const std::string& resource) {
  Command(resource, [](Watch* watch) { watch->end = true; });
}

void FakeApiServer::CutWatches(const std::string& resource) {
  Command(resource, [](Watch* watch) { watch->cut = true; });
}

void FakeApiServer::Compact() {
  const std::lock_guard lock(mutex_);
  compacted_ = ++version_;
}

std::vector<ApiRequest> FakeApiServer::requests(const std::string& resource, bool watch) const {
  const std::lock_guard lock(mutex_);
  std::vector<ApiRequest> found;
  for (const ApiRequest& request : requests_)
    if (request.resource == resource && request.watch == watch) found.push_back(request);
  return found;
}

}  // namespace knp::testing
