// What became of the conversations of one service, host or client that began within a minute. Pure arithmetic of slots.
#ifndef KNP_DETECT_FAILURES_TALLY_H_
#define KNP_DETECT_FAILURES_TALLY_H_

#include <knp/flow_record.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/base/contact.h"
#include "src/base/seen_filter.h"
#include "src/base/top_counter.h"

namespace knp::detect {

struct Outcomes {
  std::uint32_t pending = 0;  // nothing came back
  std::uint32_t half = 0;     // answered, not completed
  std::uint32_t bad = 0;      // refused or aborted
  std::uint32_t good = 0;
};

class Tally {
 public:
  static constexpr std::uint64_t kSlotNs = 5'000'000'000;
  static constexpr std::size_t kSlots = 13;  // a minute, and the slot that runs

  // A conversation has come from one stage to another. `other`: whom it was with; `port`: the server's.
  void Move(const Contact& contact, Stage before, const IpAddress& other, std::uint64_t now_slot);
  // Forgets what is older than a minute.
  void Roll(std::uint64_t slot);

  // Of a minute. What still waits counts from slots that are at least one slot old: before, it is on its way.
  Outcomes Sum() const;
  bool had_success() const { return earlier_good_ >= 10; }

  // Of failures and of what waits, since the last quiet minute.
  double Others() const { return others_.Distinct(); }
  const IpAddress& main_other() const { return main_other_; }
  // Whether most of it was with that one.
  bool MostlyMain() const { return votes_ != 0 && votes_ * 2 >= voters_; }
  std::vector<std::uint16_t> Ports() const;

 private:
  static Outcomes Classify(Stage stage, std::uint8_t protocol);

  std::array<Outcomes, kSlots> slots_{};
  std::uint64_t slot_ = 0;
  std::uint32_t earlier_good_ = 0;
  std::uint32_t voters_ = 0;  // halved with each slot, as the next one
  std::uint32_t votes_ = 0;   // Boyer and Moore's: who has more than half ends up as main_other_
  IpAddress main_other_;
  SeenFilter<1024, 1> others_;
  TopCounter<std::uint16_t, 8> ports_;
};

}  // namespace knp::detect

#endif  // KNP_DETECT_FAILURES_TALLY_H_
