// nDPI behind a small door: payloads in, names of protocols out. The only file that includes nDPI is dissector.cc. Fed by
// src/app/classifier.cc. One thread at a time.
//
// nDPI also guesses from ports and addresses and from what other connections of an address were. It shall not here: it is
// shown made-up addresses, another pair for each connection, its guesses are not asked for, and what it does not call
// the outcome of inspection is dropped. Nor is its word at the end (ndpi_detection_giveup), which names STUN by the port.
// Protocols of which its word is not good enough are switched off (refused.h).
#ifndef KNP_APP_DISSECTOR_H_
#define KNP_APP_DISSECTOR_H_

#include <absl/status/statusor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/app/byte_reader.h"

struct ndpi_detection_module_struct;
struct ndpi_flow_struct;

namespace knp::app {

// The payload of a packet, and what of its headers nDPI may know.
struct DissectorInput {
  bool tcp = false;
  bool from_opener = false;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint32_t group = 0;  // the destination, if it is an IPv4 multicast or broadcast address, else 0
  std::int32_t offset = 0;  // TCP: of the first byte, from the first one seen in this direction
  std::uint64_t mono_ns = 0;
  Bytes payload;
};

struct DissectorVerdict {
  std::string_view protocol;     // empty: not known (yet); "TLS", "HTTP", … as nDPI calls them
  std::string_view application;  // what uses it, if it could be told from the content
  bool hopeless = false;         // nothing will come of further payloads
};

class Dissector {
 public:
  class State;
  struct StateDeleter {
    void operator()(State* state) const;
  };
  using StatePointer = std::unique_ptr<State, StateDeleter>;

  // Fails if nDPI cannot be set up (for want of memory).
  static absl::StatusOr<std::unique_ptr<Dissector>> Create();
  ~Dissector();
  Dissector(const Dissector&) = delete;
  Dissector& operator=(const Dissector&) = delete;

  // A state for one connection. Give it back with Recycle, or let it go.
  StatePointer NewState();
  void Recycle(StatePointer state);

  DissectorVerdict Feed(State& state, const DissectorInput& input);

  // The application that a server of this name belongs to; empty if none is known.
  std::string_view ApplicationOfHost(State& state, std::string_view host, bool tls);
  // Of QUIC and DTLS, whose hellos only nDPI reads; empty if there was none.
  std::string ServerName(const State& state) const;
  std::string Alpn(const State& state) const;

 private:
  struct ModuleDeleter {
    void operator()(ndpi_detection_module_struct* module) const;
  };
  static constexpr std::size_t kMaxPayload = 2048;
  static constexpr std::size_t kMaxHeaders = 40;
  static constexpr std::size_t kSlack = 64;  // zeros behind the packet, for dissectors that look a little too far
  static constexpr std::size_t kMaxSpare = 256;

  Dissector() = default;
  void Handshake(State& state, const DissectorInput& input);
  void Send(State& state, const DissectorInput& input, std::uint8_t tcp_flags);
  DissectorVerdict Verdict(const State& state) const;
  std::string_view Name(std::uint16_t id) const;

  bool IsRefusedId(std::uint16_t id) const { return id < refused_.size() && refused_[id]; }

  std::unique_ptr<ndpi_detection_module_struct, ModuleDeleter> module_;
  std::vector<bool> refused_;  // by number
  std::vector<StatePointer> spare_;
  std::uint32_t serial_ = 0;  // of states: their made-up addresses
  alignas(8) std::array<std::uint8_t, kMaxHeaders + kMaxPayload + kSlack> packet_{};
};

}  // namespace knp::app

#endif  // KNP_APP_DISSECTOR_H_
