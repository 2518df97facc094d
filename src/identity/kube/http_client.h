// HTTP requests to one server, many at a time, by one thread: libcurl's multi interface. ApiSource drives it. Not
// thread-safe, but for Wake. https://curl.se/libcurl/c/libcurl-multi.html
#ifndef KNP_IDENTITY_KUBE_HTTP_CLIENT_H_
#define KNP_IDENTITY_KUBE_HTTP_CLIENT_H_

#include <absl/status/statusor.h>
#include <curl/curl.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "src/identity/kube/api_config.h"

namespace knp::identity::kube {

// Who asked. Called from within Turn and Cancel.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual void OnHead(int status, std::uint64_t retry_after_s) = 0;
  virtual bool OnBody(std::string_view data) = 0;    // false: no more of it
  virtual void OnEnd(const std::string& error) = 0;  // empty: it came to its end
};

class HttpClient {
 public:
  static absl::StatusOr<std::unique_ptr<HttpClient>> Create(const ApiConfig& config);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `exchange` lives until its OnEnd, which may come from within.
  void Get(const std::string& target, const std::string& accept, bool compressed, const std::string& token,
           HttpExchange* exchange);
  // OnEnd(`why`) follows at once. Without effect if it has ended.
  void Cancel(HttpExchange* exchange, const std::string& why);
  // Waits until something comes, `timeout` has passed or Wake is called, and takes what there is.
  void Turn(std::chrono::milliseconds timeout);
  // Thread-safe.
  void Wake();

 private:
  struct Transfer;
  explicit HttpClient(const ApiConfig& config);
  void SetUp(CURL* easy, const std::string& target, bool compressed) const;
  void End(CURL* easy, CURLcode result);
  static std::size_t WriteHeader(char* data, std::size_t size, std::size_t count, void* transfer);
  static std::size_t WriteBody(char* data, std::size_t size, std::size_t count, void* transfer);

  struct CloseMulti {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };
  const ApiConfig config_;
  std::unique_ptr<CURLM, CloseMulti> multi_;
  std::map<CURL*, std::unique_ptr<Transfer>> transfers_;
};

}  // namespace knp::identity::kube

#endif  // KNP_IDENTITY_KUBE_HTTP_CLIENT_H_
