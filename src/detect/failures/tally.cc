// See tally.h.
#include "src/detect/failures/tally.h"

#include <netinet/in.h>

#include <algorithm>

#include "src/base/address_hash.h"

namespace knp::detect {
namespace {

void Take(std::uint32_t* from, std::uint32_t count) { *from -= std::min(*from, count); }

}  // namespace

// Silence is usual for UDP.
Outcomes Tally::Classify(Stage stage, std::uint8_t protocol) {
  const bool answers_always = protocol == IPPROTO_TCP || protocol == IPPROTO_SCTP;
  switch (stage) {
    case Stage::kOpened: return {.pending = answers_always};
    case Stage::kAnswered: return {.half = answers_always};
    case Stage::kRefused:
    case Stage::kAborted: return {.bad = 1};
    case Stage::kCompleted:
    case Stage::kTalked: return {.good = 1};
    case Stage::kNone:
    case Stage::kUnsolicited: break;
  }
  return {};
}

void Tally::Roll(std::uint64_t slot) {
  if (slot <= slot_) return;
  for (std::uint64_t i = 0, steps = std::min<std::uint64_t>(slot - slot_, kSlots); i < steps; i++) {
    Outcomes& old = slots_[(slot - i) % kSlots];
    earlier_good_ = std::min<std::uint32_t>(earlier_good_ + old.good, 1000);
    old = {};
  }
  const std::uint64_t halvings = std::min<std::uint64_t>(slot - slot_, 31);
  votes_ >>= halvings;
  voters_ >>= halvings;
  slot_ = slot;
  const Outcomes sum = Sum();
  if (sum.bad + sum.pending + sum.half != 0) return;
  others_.Clear();
  ports_.Clear();
}

void Tally::Move(const Contact& contact, Stage before, const IpAddress& other, std::uint64_t now_slot) {
  Roll(std::max(now_slot, contact.mono_ns / kSlotNs));
  const std::uint64_t began = std::min(contact.first_mono_ns / kSlotNs, slot_);
  if (slot_ - began >= kSlots) return;
  Outcomes& slot = slots_[began % kSlots];
  const Outcomes was = Classify(before, contact.protocol), is = Classify(contact.stage, contact.protocol);
  Take(&slot.pending, was.pending);
  Take(&slot.half, was.half);
  Take(&slot.bad, was.bad);
  Take(&slot.good, was.good);
  slot.pending += is.pending;
  slot.half += is.half;
  slot.bad += is.bad;
  slot.good += is.good;
  if (before != Stage::kNone || is.pending + is.half + is.bad == 0) return;
  others_.Add(HashOf(other));
  ports_.Add(contact.server_port);
  voters_++;
  if (votes_ == 0) main_other_ = other;
  votes_ = other == main_other_ ? votes_ + 1 : votes_ - 1;
}

Outcomes Tally::Sum() const {
  Outcomes sum;
  for (std::size_t age = 0; age < kSlots && age <= slot_; age++) {
    const Outcomes& slot = slots_[(slot_ - age) % kSlots];
    sum.bad += slot.bad;
    sum.good += slot.good;
    if (age < 2) continue;
    sum.pending += slot.pending;
    sum.half += slot.half;
  }
  return sum;
}

std::vector<std::uint16_t> Tally::Ports() const {
  std::vector<std::uint16_t> ports;
  for (const auto& place : ports_.Top()) ports.push_back(place.key);
  return ports;
}

}  // namespace knp::detect
