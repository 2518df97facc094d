// libFuzzer over the Kubernetes API's JSON: the first byte chooses the kind of objects and whether the rest is a page, the
// lines of a watch, or an error's body. What is decoded goes into a directory with small bounds, which is then asked.
//
// KNP_WRITE_SEEDS=DIR writes objects as a corpus to start from, and ends.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "src/identity/directory.h"
#include "src/identity/kube/decode.h"
#include "tests/agent/kube_json.h"

namespace {

using knp::identity::Change;
using knp::identity::Directory;
using knp::identity::ObjectKind;
using knp::identity::kube::Decoder;

#define KNP_CHECK(condition)                                              \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::fprintf(stderr, "kube_fuzz: does not hold: " #condition "\n"); \
      std::abort();                                                       \
    }                                                                     \
  } while (0)

constexpr std::uint64_t kStep = 200'000'000'000;

Directory::Options SmallBounds() {
  Directory::Options options;
  options.past_holders = 2;
  options.leaving = 16;
  return options;
}

class Target {
 public:
  explicit Target(ObjectKind kind) : kind_(kind) {}

  void Take(absl::StatusOr<Change> change) {
    if (!change.ok()) {
      KNP_CHECK(!change.status().message().empty());
      return;
    }
    now_ += kStep;
    directory_.Apply(*std::move(change), now_);
    KNP_CHECK(directory_.statistics().leaving <= 16);
  }

  void Page(std::string body) {
    directory_.Apply(knp::identity::SnapshotBegun{kind_}, now_);
    const auto page = decoder_.List(kind_, &body, [this](absl::StatusOr<Change> change) { Take(std::move(change)); });
    KNP_CHECK(!page.ok() || !page->resource_version.empty());
    directory_.Apply(knp::identity::SnapshotDone{kind_}, now_);
  }

  void Line(std::string_view line) {
    auto event = decoder_.Event(kind_, line);
    if (!event.ok()) return;
    if (!event->change.ok()) return Take(event->change.status());
    if (event->change->has_value()) Take(**std::move(event->change));
  }

  void Error(std::string_view body) { KNP_CHECK(decoder_.Status(body).message.size() <= 300); }

  void Ask() const {
    for (const char* text : {"10.0.0.1", "10.0.0.5", "10.96.0.7", "192.168.0.1", "fd00::1"}) {
      for (const std::uint16_t port : {0, 80, 8080}) {
        knp::Endpoint endpoint;
        endpoint.ip = *knp::ParseIpAddress(text);
        endpoint.port = port;
        for (std::uint64_t at = 0; at <= now_; at += std::max<std::uint64_t>(now_ / 8, 1))
          directory_.Name(port == 8080 ? 6 : 0, at, &endpoint);
        KNP_CHECK(endpoint.service.empty() || endpoint.identity);
      }
    }
  }

 private:
  const ObjectKind kind_;
  Decoder decoder_{{"app"}};
  Directory directory_{SmallBounds()};
  std::uint64_t now_ = 1'800'000'000'000'000'000;
};

void WriteSeed(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (file.flush()) return;
  std::fprintf(stderr, "kube_fuzz: cannot write the seed %s\n", path.c_str());
  std::exit(1);
}

void WriteSeeds(const std::string& folder) {
  const std::string objects[] = {knp::testing::PodJson("web-0", "10.0.0.5"),
                                 knp::testing::NodeJson("node-a", "192.168.0.1", "zone-1"),
                                 knp::testing::ServiceJson("web", "10.96.0.7", 80),
                                 knp::testing::SliceJson("web-x", "web", "10.0.0.5", 8080),
                                 knp::testing::OwnedJson("web-7d", "Deployment", "web"),
                                 knp::testing::OwnedJson("report-1", "CronJob", "report")};
  for (std::size_t kind = 0; kind < std::size(objects); ++kind) {
    const std::string name = folder + "/" + knp::identity::ObjectKindName(static_cast<ObjectKind>(kind));
    const auto first = [kind](int mode) {
      return std::string(1, static_cast<char>(kind * 3 + static_cast<std::size_t>(mode)));
    };
    WriteSeed(name + "_page", first(0) + R"({"metadata":{"resourceVersion":"7"},"items":[)" + objects[kind] + "]}");
    WriteSeed(name + "_watch", first(1) + R"({"type":"ADDED","object":)" + objects[kind] + "}\n" +
                                   R"({"type":"DELETED","object":)" + objects[kind] + "}\n");
  }
  WriteSeed(folder + "/status", std::string(1, 2) + R"({"kind":"Status","code":410,"reason":"Expired","message":"old",)"
                                                    R"("details":{"causes":[{"reason":"x"}],"retryAfterSeconds":1}})");
  std::exit(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("KNP_WRITE_SEEDS")) WriteSeeds(folder);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  Target target(static_cast<ObjectKind>(data[0] / 3 % knp::identity::kObjectKinds));
  switch (data[0] % 3) {
    case 0: target.Page(std::string(text)); break;
    case 1:
      while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        target.Line(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
      }
      break;
    default: target.Error(text);
  }
  target.Ask();
  return 0;
}
