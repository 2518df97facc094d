// See http_client.h.
#include "src/identity/kube/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace knp::identity::kube {
namespace {

constexpr long kConnectTimeoutMs = 10'000;
constexpr long kKeepAliveIdleS = 30, kKeepAliveIntervalS = 10;
constexpr long kCaCacheS = 60;  // the file may be replaced

struct CloseEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

void SetPem(CURL* easy, const Credential& credential, CURLoption file, CURLoption blob) {
  if (!credential.file.empty()) {
    curl_easy_setopt(easy, file, credential.file.c_str());
  } else if (!credential.pem.empty()) {
    curl_blob data = {const_cast<char*>(credential.pem.data()), credential.pem.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy, blob, &data);
  }
}

// "https://host:port/path" as its host and its port.
std::pair<std::string, std::string> Authority(const std::string& server) {
  const bool tls = server.starts_with("https://");
  std::string rest = server.substr(server.find("://") + 3);
  rest = rest.substr(0, rest.find('/'));
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string::npos || rest.find(']', colon) != std::string::npos) return {rest, tls ? "443" : "80"};
  return {rest.substr(0, colon), rest.substr(colon + 1)};
}

const char* HintFor(CURLcode result) {
  switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION: return "; the server's certificate is none of the configured CA's";
    case CURLE_SSL_CONNECT_ERROR: return "; is that a server of TLS, with a certificate of the configured CA?";
    case CURLE_SSL_CACERT_BADFILE: return "; check the file of the CA";
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST: return "; is the API server up, and may this host reach it?";
    case CURLE_PARTIAL_FILE: return "; the connection was cut";
    default: return "";
  }
}

}  // namespace

struct HttpClient::Transfer {
  std::unique_ptr<CURL, CloseEasy> easy{curl_easy_init()};
  std::unique_ptr<curl_slist, FreeList> headers;
  std::unique_ptr<curl_slist, FreeList> connect_to;
  std::array<char, CURL_ERROR_SIZE> error{};
  HttpExchange* exchange = nullptr;
  bool started = false;  // its headers are complete

  void Add(const std::string& header) {
    curl_slist* longer = curl_slist_append(headers.get(), header.c_str());
    if (!longer) return;
    headers.release();
    headers.reset(longer);
  }
};

HttpClient::HttpClient(const ApiConfig& config) : config_(config), multi_(curl_multi_init()) {}

HttpClient::~HttpClient() {
  for (const auto& [easy, transfer] : transfers_) curl_multi_remove_handle(multi_.get(), easy);
}

absl::StatusOr<std::unique_ptr<HttpClient>> HttpClient::Create(const ApiConfig& config) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialized != CURLE_OK)
    return absl::InternalError(fmt::format("libcurl cannot be used: {}", curl_easy_strerror(initialized)));
  std::unique_ptr<HttpClient> client(new HttpClient(config));
  if (!client->multi_) return absl::ResourceExhaustedError("libcurl has no memory for connections");
  return client;
}

void HttpClient::SetUp(CURL* easy, const std::string& target, bool compressed) const {
  std::string server = config_.server;
  if (!config_.server_name.empty()) server = "https://" + config_.server_name + ":" + Authority(server).second;
  curl_easy_setopt(easy, CURLOPT_URL, (server + target).c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  // A stream each: what happens to one is of no consequence to the others.
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, kKeepAliveIdleS);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, kKeepAliveIntervalS);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "kubenetprobe");
  if (compressed) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  if (!config_.proxy.empty()) curl_easy_setopt(easy, CURLOPT_PROXY, config_.proxy.c_str());
  SetPem(easy, config_.ca, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB);
  if (!config_.ca.empty()) curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);  // that CA's and no other's
  curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, kCaCacheS);
  SetPem(easy, config_.client_certificate, CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB);
  SetPem(easy, config_.client_key, CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB);
  if (config_.insecure) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

void HttpClient::Get(const std::string& target, const std::string& accept, bool compressed, const std::string& token,
                     HttpExchange* exchange) {
  auto transfer = std::make_unique<Transfer>();
  CURL* easy = transfer->easy.get();
  if (!easy) return exchange->OnEnd("libcurl has no memory for a request");
  transfer->exchange = exchange;
  SetUp(easy, target, compressed);
  if (!config_.server_name.empty()) {
    const auto [host, port] = Authority(config_.server);
    transfer->connect_to.reset(curl_slist_append(nullptr, fmt::format("::{}:{}", host, port).c_str()));
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer->connect_to.get());
  }
  transfer->Add("Accept: " + accept);
  if (!token.empty()) transfer->Add("Authorization: Bearer " + token);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers.get());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error.data());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &HttpClient::WriteHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer.get());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &HttpClient::WriteBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer.get());
  if (const CURLMcode code = curl_multi_add_handle(multi_.get(), easy); code != CURLM_OK)
    return exchange->OnEnd(curl_multi_strerror(code));
  transfers_.emplace(easy, std::move(transfer));
}

std::size_t HttpClient::WriteHeader(char* data, std::size_t size, std::size_t count, void* of) {
  auto* transfer = static_cast<Transfer*>(of);
  const std::string_view line(data, size * count);
  if (transfer->started || (line != "\r\n" && line != "\n")) return line.size();
  long status = 0;
  curl_off_t retry_after_s = 0;
  curl_easy_getinfo(transfer->easy.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) return line.size();  // the answer proper follows
  curl_easy_getinfo(transfer->easy.get(), CURLINFO_RETRY_AFTER, &retry_after_s);
  transfer->started = true;
  transfer->exchange->OnHead(static_cast<int>(status),
                             static_cast<std::uint64_t>(std::max<curl_off_t>(retry_after_s, 0)));
  return line.size();
}

std::size_t HttpClient::WriteBody(char* data, std::size_t size, std::size_t count, void* of) {
  const std::size_t length = size * count;
  if (length == 0) return 0;
  return static_cast<Transfer*>(of)->exchange->OnBody({data, length}) ? length : 0;
}

void HttpClient::End(CURL* easy, CURLcode result) {
  const auto found = transfers_.find(easy);
  if (found == transfers_.end()) return;
  curl_multi_remove_handle(multi_.get(), easy);
  const std::unique_ptr<Transfer> transfer = std::move(found->second);
  transfers_.erase(found);
  if (result == CURLE_OK) return transfer->exchange->OnEnd("");
  const char* detail = transfer->error.front() != '\0' ? transfer->error.data() : curl_easy_strerror(result);
  transfer->exchange->OnEnd(fmt::format("{}: {}{}", config_.server, detail, HintFor(result)));
}

void HttpClient::Cancel(HttpExchange* exchange, const std::string& why) {
  const auto found = std::find_if(transfers_.begin(), transfers_.end(),
                                  [exchange](const auto& entry) { return entry.second->exchange == exchange; });
  if (found == transfers_.end()) return;
  curl_multi_remove_handle(multi_.get(), found->first);
  const std::unique_ptr<Transfer> transfer = std::move(found->second);
  transfers_.erase(found);
  exchange->OnEnd(why);
}

void HttpClient::Turn(std::chrono::milliseconds timeout) {
  curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(timeout.count()), nullptr);
  int running = 0;
  curl_multi_perform(multi_.get(), &running);
  std::vector<std::pair<CURL*, CURLcode>> ended;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left))
    if (message->msg == CURLMSG_DONE) ended.emplace_back(message->easy_handle, message->data.result);
  for (const auto& [easy, result] : ended) End(easy, result);
}

void HttpClient::Wake() { curl_multi_wakeup(multi_.get()); }

}  // namespace knp::identity::kube
