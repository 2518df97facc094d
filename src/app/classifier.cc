#include "src/app/classifier.h"

#include <absl/container/flat_hash_map.h>
#include <netinet/in.h>

#include <array>
#include <list>
#include <string_view>
#include <utility>

#include "src/app/dissector.h"
#include "src/app/http_head.h"
#include "src/app/signatures.h"
#include "src/app/stream_start.h"
#include "src/app/text.h"
#include "src/app/tls_hello.h"

namespace knp::app {
namespace {

// IPv4 multicast and broadcast tell protocols apart (SSDP, mDNS, …) and name no peer. IPv6's groups are shown as the
// IPv4 ones of the same meaning.
std::uint32_t GroupOf(const FlowTuple& tuple) {
  const auto& to = tuple.destination;
  if (tuple.ip_version == 4) {
    const std::uint32_t address =
        std::uint32_t{to[0]} << 24 | std::uint32_t{to[1]} << 16 | std::uint32_t{to[2]} << 8 | to[3];
    return address >= 0xe0000000 && (address < 0xf0000000 || address == 0xffffffff) ? address : 0;
  }
  if (to[0] != 0xff) return 0;
  if (to[15] == 0xfb) return 0xe00000fb;                    // mDNS, RFC 6762
  if (to[15] == 0x0c) return 0xeffffffa;                    // SSDP
  if (to[14] == 0x01 && to[15] == 0x03) return 0xe00000fc;  // LLMNR, RFC 4795
  return 0xe0000001;
}

// Of what we read ourselves nDPI's word is not needed, and of some it is to be checked.
bool IsBelievable(std::string_view protocol, const PayloadSample& sample) {
  if (protocol == "MDNS" || protocol == "LLMNR") return IsMulticastDnsMessage(sample.data);
  if (protocol == "NTP") return IsTimeMessage(sample.data, sample.length);
  return !protocol.empty() && protocol != "TLS" && protocol != "HTTP" && protocol != "DNS";
}

}  // namespace

class Classifier::Impl {
 public:
  Impl(const ClassifierOptions& options, std::unique_ptr<Dissector> dissector)
      : options_(options), dissector_(std::move(dissector)) {}

  void OnPayload(const PayloadSample& sample, std::uint64_t flow_id, bool from_opener);
  const AppDetail* Find(std::uint64_t flow_id) const;
  void Forget(std::uint64_t flow_id);
  const ClassifierStats& stats() const { return stats_; }

 private:
  enum class Own : std::uint8_t { kNothing, kTls, kHttp, kDns, kOther };  // what our own parsers found

  struct Detection {
    Dissector::StatePointer state;       // null: nDPI has said all it will
    std::array<StreamStart, 2> streams;  // [1]: of the opener
    std::size_t samples = 0;
    Own own = Own::kNothing;
    bool exact = false;  // our own parsers have all they will get from this direction's beginning
  };
  struct Flow {
    std::unique_ptr<Detection> detection;  // null: over
    std::unique_ptr<AppDetail> detail;
    std::list<std::uint64_t>::iterator place;  // in inspected_ or settled_
    InterfaceId interface = 0;
    std::uint8_t protocol = 0;
  };

  Flow& Begin(const PayloadSample& sample, std::uint64_t flow_id);
  void Settle(Flow& flow);
  void Read(Flow& flow, Detection& detection, const PayloadSample& sample);
  void ReadTls(Flow& flow, Detection& detection, Bytes stream);
  void ReadHttp(Flow& flow, Detection& detection, Bytes stream);
  void NameByHost(Flow& flow, Detection& detection);
  void Adopt(Flow& flow, const Detection& detection, const DissectorVerdict& verdict);
  void Ask(Flow& flow, Detection& detection, const PayloadSample& sample, bool from_opener);
  bool Over(const Flow& flow, const Detection& detection) const;
  // nDPI leaks if the transport of a flow changes.
  static bool IsAwaited(const Flow& flow, const PayloadSample& sample) {
    return flow.detection && flow.interface == sample.interface && flow.protocol == sample.tuple.protocol;
  }
  static AppDetail& Detail(Flow& flow) {
    if (!flow.detail) flow.detail = std::make_unique<AppDetail>();
    return *flow.detail;
  }

  const ClassifierOptions options_;
  const std::unique_ptr<Dissector> dissector_;
  absl::flat_hash_map<std::uint64_t, Flow> flows_;
  std::list<std::uint64_t> inspected_, settled_;  // oldest first
  ClassifierStats stats_;
};

void Classifier::Impl::OnPayload(const PayloadSample& sample, std::uint64_t flow_id, bool from_opener) {
  const bool tcp = sample.tuple.protocol == IPPROTO_TCP;
  if (sample.data.empty() || (!tcp && sample.tuple.protocol != IPPROTO_UDP)) return;
  const auto found = flows_.find(flow_id);
  if (found != flows_.end() && !IsAwaited(found->second, sample)) return;
  Flow& flow = found == flows_.end() ? Begin(sample, flow_id) : found->second;
  Detection& detection = *flow.detection;
  ++stats_.samples;
  ++detection.samples;
  if (!tcp || detection.streams[from_opener].Add(sample.sequence, sample.data)) {
    Read(flow, detection, sample);
    Ask(flow, detection, sample, from_opener);
  }
  if (Over(flow, detection)) Settle(flow);
}

Classifier::Impl::Flow& Classifier::Impl::Begin(const PayloadSample& sample, std::uint64_t flow_id) {
  if (inspected_.size() >= options_.max_detections) {
    ++stats_.evicted;
    Settle(flows_.find(inspected_.front())->second);
  }
  if (flows_.size() >= options_.max_flows) {
    ++stats_.outcomes_evicted;
    Forget(settled_.empty() ? inspected_.front() : settled_.front());
  }
  Flow& flow = flows_[flow_id];
  flow.detection = std::make_unique<Detection>();
  flow.detection->state = dissector_->NewState();
  flow.place = inspected_.insert(inspected_.end(), flow_id);
  flow.interface = sample.interface;
  flow.protocol = sample.tuple.protocol;
  stats_.detections = inspected_.size();
  stats_.flows = flows_.size();
  return flow;
}

void Classifier::Impl::Settle(Flow& flow) {
  if (flow.detail)
    ++stats_.identified;
  else if (flow.detection->state)
    ++stats_.given_up;
  else
    ++stats_.unknown;
  if (flow.detection->state) dissector_->Recycle(std::move(flow.detection->state));
  flow.detection.reset();
  settled_.splice(settled_.end(), inspected_, flow.place);
  stats_.detections = inspected_.size();
}

void Classifier::Impl::Read(Flow& flow, Detection& detection, const PayloadSample& sample) {
  if (sample.tuple.protocol == IPPROTO_UDP) {
    if (detection.own != Own::kNothing) return;
    if (const std::string_view name = DatagramSignature(sample.data, sample.length); !name.empty()) {
      Detail(flow).protocol = name;
      detection.own = name == "DNS" ? Own::kDns : Own::kOther;
    }
    return;
  }
  for (StreamStart& stream : detection.streams) {
    if (stream.empty()) continue;
    if (detection.own == Own::kNothing || detection.own == Own::kTls) ReadTls(flow, detection, stream.bytes());
    if (detection.own == Own::kNothing || detection.own == Own::kHttp) ReadHttp(flow, detection, stream.bytes());
    if (detection.own != Own::kNothing) continue;
    if (const std::string_view name = StreamSignature(stream.bytes()); !name.empty()) {
      Detail(flow).protocol = name;
      detection.own = Own::kOther;
    } else if (stream.segments() > 1) {
      stream.Release();  // by the second sample the beginning was there, even if they came in the wrong order
    }
  }
}

void Classifier::Impl::ReadTls(Flow& flow, Detection& detection, Bytes stream) {
  const auto hello = ParseTlsClientHello(stream);
  if (!hello && !IsTlsServerHello(stream) && !IsTlsRecords(stream)) return;
  detection.own = Own::kTls;
  AppDetail& detail = Detail(flow);
  detail.protocol = "TLS";
  if (!hello) return;
  detail.server_name = hello->server_name;
  detail.alpn = hello->alpn;
  detection.exact = hello->complete;
}

void Classifier::Impl::ReadHttp(Flow& flow, Detection& detection, Bytes stream) {
  if (const auto request = ParseHttpRequest(stream)) {
    detection.own = Own::kHttp;
    AppDetail& detail = Detail(flow);
    detail.protocol = "HTTP";
    detail.http_method = request->method;
    detail.http_url = request->url;
    detail.http_host = request->host;
  } else if (const auto status = ParseHttpStatus(stream)) {
    detection.own = Own::kHttp;
    AppDetail& detail = Detail(flow);
    detail.protocol = "HTTP";
    detail.http_status = status;
  }
  detection.exact = flow.detail && flow.detail->http_status && !flow.detail->http_method.empty();
}

void Classifier::Impl::Ask(Flow& flow, Detection& detection, const PayloadSample& sample, bool from_opener) {
  if (!detection.state || detection.own == Own::kOther) return;
  NameByHost(flow, detection);
  if (detection.own == Own::kTls || (detection.own == Own::kHttp && !flow.detail->application.empty())) return;
  const bool tcp = sample.tuple.protocol == IPPROTO_TCP;
  const DissectorVerdict verdict =
      dissector_->Feed(*detection.state, {.tcp = tcp,
                                          .from_opener = from_opener,
                                          .source_port = sample.tuple.source_port,
                                          .destination_port = sample.tuple.destination_port,
                                          .group = GroupOf(sample.tuple),
                                          .offset = tcp ? detection.streams[from_opener].Offset(sample.sequence) : 0,
                                          .mono_ns = sample.mono_ns,
                                          .payload = sample.data});
  if (IsBelievable(verdict.protocol, sample) && (detection.own == Own::kNothing || detection.own == Own::kDns)) {
    Adopt(flow, detection, verdict);
  } else if (detection.own == Own::kHttp && verdict.protocol == "HTTP") {
    flow.detail->application = verdict.application;
  }
  if (verdict.hopeless) dissector_->Recycle(std::move(detection.state));
}

void Classifier::Impl::NameByHost(Flow& flow, Detection& detection) {
  if ((detection.own != Own::kTls && detection.own != Own::kHttp) || !flow.detail->application.empty()) return;
  const bool tls = detection.own == Own::kTls;
  const std::string& host = tls ? flow.detail->server_name : flow.detail->http_host;
  flow.detail->application = dissector_->ApplicationOfHost(*detection.state, host, tls);
}

void Classifier::Impl::Adopt(Flow& flow, const Detection& detection, const DissectorVerdict& verdict) {
  AppDetail& detail = Detail(flow);
  detail.protocol = verdict.protocol;
  if (verdict.protocol != "QUIC" && verdict.protocol != "DTLS") return;
  detail.server_name = PrintableText(dissector_->ServerName(*detection.state));
  detail.alpn = PrintableText(dissector_->Alpn(*detection.state));
  if (verdict.protocol == "QUIC") detail.application = verdict.application;
}

bool Classifier::Impl::Over(const Flow& flow, const Detection& detection) const {
  if (detection.samples >= options_.max_samples) return true;
  switch (detection.own) {
    case Own::kTls: return detection.exact;
    case Own::kHttp: return detection.exact && (!detection.state || !flow.detail->application.empty());
    case Own::kDns:
    case Own::kOther: return true;
    case Own::kNothing: return flow.detail ? !detection.state : !detection.state && detection.samples >= 4;
  }
  return true;
}

const AppDetail* Classifier::Impl::Find(std::uint64_t flow_id) const {
  const auto found = flows_.find(flow_id);
  return found == flows_.end() ? nullptr : found->second.detail.get();
}

void Classifier::Impl::Forget(std::uint64_t flow_id) {
  const auto found = flows_.find(flow_id);
  if (found == flows_.end()) return;
  if (found->second.detection) Settle(found->second);
  settled_.erase(found->second.place);
  flows_.erase(found);
  stats_.flows = flows_.size();
}

Classifier::Classifier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Classifier::~Classifier() = default;

absl::StatusOr<std::unique_ptr<Classifier>> Classifier::Create(const ClassifierOptions& options) {
  if (options.max_detections == 0 || options.max_flows == 0 || options.max_samples == 0)
    return absl::InvalidArgumentError("the classifier's limits must be at least 1 each");
  auto dissector = Dissector::Create();
  if (!dissector.ok()) return dissector.status();
  return std::unique_ptr<Classifier>(new Classifier(std::make_unique<Impl>(options, *std::move(dissector))));
}

void Classifier::OnPayload(const PayloadSample& sample, std::uint64_t flow_id, bool from_opener) {
  impl_->OnPayload(sample, flow_id, from_opener);
}
const AppDetail* Classifier::Find(std::uint64_t flow_id) const { return impl_->Find(flow_id); }
void Classifier::Forget(std::uint64_t flow_id) { impl_->Forget(flow_id); }
const ClassifierStats& Classifier::stats() const { return impl_->stats(); }

}  // namespace knp::app
