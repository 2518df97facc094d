#include "src/app/dissector.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <ndpi/ndpi_api.h>
#pragma GCC diagnostic pop

#include "src/app/refused.h"
#include "src/base/tcp_flags.h"

namespace knp::app {
namespace {

constexpr std::uint32_t kOpenerNet = 0x0a000000, kOtherNet = 0x0a800000;  // 10.0.0.0/9 and 10.128.0.0/9
constexpr std::uint32_t kHostMask = 0x007fffff;

void Put16(std::uint8_t* at, std::uint32_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}
void Put32(std::uint8_t* at, std::uint32_t value) {
  Put16(at, value >> 16);
  Put16(at + 2, value);
}

}  // namespace

class Dissector::State {
 public:
  explicit State(std::uint32_t serial) { Begin(serial); }
  ~State() { ndpi_free_flow_data(&flow_); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void Clear() { ndpi_free_flow_data(&flow_); }
  void Begin(std::uint32_t serial) {
    std::memset(&flow_, 0, sizeof flow_);
    serial_ = serial;
    shaken_ = false;
    next_ = {1, 1};
  }

  ndpi_flow_struct flow_;
  std::uint32_t serial_ = 0;
  bool shaken_ = false;                  // the three packets of the handshake were shown
  std::array<std::uint32_t, 2> next_{};  // sequence numbers that the other side would acknowledge; of the opener: [1]
};

void Dissector::StateDeleter::operator()(State* state) const { delete state; }
void Dissector::ModuleDeleter::operator()(ndpi_detection_module_struct* module) const {
  ndpi_exit_detection_module(module);
}

Dissector::~Dissector() = default;

absl::StatusOr<std::unique_ptr<Dissector>> Dissector::Create() {
  std::unique_ptr<Dissector> dissector(new Dissector);
  dissector->module_.reset(ndpi_init_detection_module(ndpi_dont_load_tor_hosts));
  ndpi_detection_module_struct* module = dissector->module_.get();
  if (!module)
    return absl::ResourceExhaustedError(
        "nDPI could not be set up, most likely for want of memory (it takes 8 MB). Do without application names: "
        "--no-apps");
  NDPI_PROTOCOL_BITMASK protocols;
  NDPI_BITMASK_SET_ALL(protocols);
  const auto count = static_cast<std::uint16_t>(ndpi_get_num_supported_protocols(module));
  dissector->refused_.resize(count);
  for (std::uint16_t id = 0; id < count; ++id) {
    if (!IsRefused(dissector->Name(id))) continue;
    dissector->refused_[id] = true;
    NDPI_BITMASK_DEL(protocols, id);
  }
  ndpi_set_protocol_detection_bitmask2(module, &protocols);
  ndpi_set_detection_preferences(module, ndpi_pref_direction_detect_disable, 1);
  ndpi_finalize_initialization(module);
  return dissector;
}

Dissector::StatePointer Dissector::NewState() {
  ++serial_;
  if (spare_.empty()) return StatePointer(new State(serial_));
  StatePointer state = std::move(spare_.back());
  spare_.pop_back();
  state->Begin(serial_);
  return state;
}

void Dissector::Recycle(StatePointer state) {
  if (spare_.size() >= kMaxSpare) return;
  state->Clear();
  state->Begin(0);
  spare_.push_back(std::move(state));
}

// Some dissectors look at connections only whose beginning was seen.
void Dissector::Handshake(State& state, const DissectorInput& input) {
  state.shaken_ = true;
  DissectorInput packet = input;
  packet.payload = {};
  if (!input.from_opener) std::swap(packet.source_port, packet.destination_port);
  packet.from_opener = true;
  packet.offset = -1;
  Send(state, packet, kSyn);
  std::swap(packet.source_port, packet.destination_port);
  packet.from_opener = false;
  Send(state, packet, kSyn | kAck);
  std::swap(packet.source_port, packet.destination_port);
  packet.from_opener = true;
  packet.offset = 0;
  Send(state, packet, kAck);
}

DissectorVerdict Dissector::Feed(State& state, const DissectorInput& input) {
  if (input.tcp && !state.shaken_) Handshake(state, input);
  Send(state, input, kPsh | kAck);
  return Verdict(state);
}

void Dissector::Send(State& state, const DissectorInput& input, std::uint8_t tcp_flags) {
  const std::size_t l4_size = input.tcp ? 20 : 8;
  const Bytes payload = input.payload.first(std::min(input.payload.size(), kMaxPayload));
  const std::size_t size = 20 + l4_size + payload.size();
  std::uint8_t* ip = packet_.data();
  std::memset(ip, 0, 20 + l4_size);
  const std::uint32_t opener = kOpenerNet | (state.serial_ & kHostMask),
                      other = kOtherNet | (state.serial_ & kHostMask);
  ip[0] = 0x45;
  Put16(ip + 2, static_cast<std::uint32_t>(size));
  ip[8] = 64;
  ip[9] = input.tcp ? IPPROTO_TCP : IPPROTO_UDP;
  Put32(ip + 12, input.from_opener ? opener : other);
  Put32(ip + 16, input.group ? input.group : input.from_opener ? other : opener);
  std::uint8_t* l4 = ip + 20;
  Put16(l4, input.source_port);
  Put16(l4 + 2, input.destination_port);
  if (input.tcp) {
    const std::uint32_t sequence = static_cast<std::uint32_t>(input.offset) + 1;
    Put32(l4 + 4, sequence);
    if (tcp_flags & kAck) Put32(l4 + 8, state.next_[!input.from_opener]);
    l4[12] = 5 << 4;
    l4[13] = tcp_flags;
    Put16(l4 + 14, 0xffff);
    const std::uint32_t end = sequence + static_cast<std::uint32_t>(payload.size());
    if (static_cast<std::int32_t>(end - state.next_[input.from_opener]) > 0) state.next_[input.from_opener] = end;
  } else {
    Put16(l4 + 4, static_cast<std::uint32_t>(8 + payload.size()));
  }
  if (!payload.empty()) std::memcpy(l4 + l4_size, payload.data(), payload.size());
  std::memset(l4 + l4_size + payload.size(), 0, kSlack);
  state.flow_.packet_direction = input.from_opener ? 0 : 1;
  ndpi_detection_process_packet(module_.get(), &state.flow_, ip, static_cast<unsigned short>(size),
                                input.mono_ns / 1'000'000);
}

DissectorVerdict Dissector::Verdict(const State& state) const {
  const ndpi_flow_struct& flow = state.flow_;
  const std::uint16_t lower = flow.detected_protocol_stack[1], upper = flow.detected_protocol_stack[0];
  DissectorVerdict verdict;
  if (upper == NDPI_PROTOCOL_UNKNOWN) {
    verdict.hopeless = flow.fail_with_unknown;
    return verdict;
  }
  // What it calls the outcome of its caches hangs on other connections' addresses.
  if (flow.confidence != NDPI_CONFIDENCE_DPI) {
    verdict.hopeless = true;
    return verdict;
  }
  const bool two = lower != NDPI_PROTOCOL_UNKNOWN && lower != upper;
  if (IsRefusedId(two ? lower : upper)) {
    verdict.hopeless = true;
    return verdict;
  }
  verdict.protocol = Name(two ? lower : upper);
  if (two && !IsRefusedId(upper)) verdict.application = Name(upper);
  verdict.hopeless = !flow.check_extra_packets;
  return verdict;
}

std::string_view Dissector::Name(std::uint16_t id) const { return ndpi_get_proto_name(module_.get(), id); }

std::string_view Dissector::ApplicationOfHost(State& state, std::string_view host, bool tls) {
  std::array<char, 256> name{};
  if (host.empty() || host.size() >= name.size()) return {};
  std::transform(host.begin(), host.end(), name.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c); });
  ndpi_protocol_match_result match{};
  const std::uint16_t lower = tls ? NDPI_PROTOCOL_TLS : NDPI_PROTOCOL_HTTP;
  const std::uint16_t id = ndpi_match_host_subprotocol(module_.get(), &state.flow_, name.data(),
                                                       static_cast<unsigned>(host.size()), &match, lower);
  if (id == NDPI_PROTOCOL_UNKNOWN || id == lower) return {};
  return IsRefusedId(id) ? std::string_view() : Name(id);
}

std::string Dissector::ServerName(const State& state) const {
  const auto& name = state.flow_.host_server_name;
  return {name, strnlen(name, sizeof name)};
}

std::string Dissector::Alpn(const State& state) const {
  const char* alpn = state.flow_.protos.tls_quic.alpn;
  return alpn ? alpn : "";
}

}  // namespace knp::app
