// See flow_query.h.
#include "src/export/hubble/flow_query.h"

#include <absl/status/status.h>
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <utility>

namespace knp::hubble {
namespace {

absl::StatusOr<std::uint64_t> NanosecondsOf(const google::protobuf::Timestamp& time, const char* field) {
  // The range of a Timestamp: years 1 to 9999.
  if (time.seconds() < -62'135'596'800 || time.seconds() > 253'402'300'799 || time.nanos() < 0 ||
      time.nanos() > 999'999'999)
    return absl::InvalidArgumentError(
        fmt::format("{}: {} s and {} ns are no time", field, time.seconds(), time.nanos()));
  if (time.seconds() < 0) return 0;
  constexpr std::int64_t kLast = 18'000'000'000;  // still fits in 64 bits of nanoseconds
  return static_cast<std::uint64_t>(std::min(time.seconds(), kLast)) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.nanos());
}

}  // namespace

absl::StatusOr<FlowQuery> FlowQuery::Create(const observer::GetFlowsRequest& request, const FlowLog& log) {
  if (request.first() && request.follow()) return absl::InvalidArgumentError("first: cannot be combined with follow");
  auto filters = FlowFilterSet::Create(request.whitelist(), request.blacklist());
  if (!filters.ok()) return filters.status();
  auto mask = FlowFieldMask::Create(request.field_mask());
  if (!mask.ok()) return mask.status();
  FlowQuery query(log, *std::move(filters), *std::move(mask));
  query.first_ = request.first();
  query.follow_ = request.follow();
  query.number_ = request.number();
  if (request.has_since()) {
    const auto since = NanosecondsOf(request.since(), "since");
    if (!since.ok()) return since.status();
    query.since_ns_ = *since;
  }
  if (request.has_until()) {
    const auto until = NanosecondsOf(request.until(), "until");
    if (!until.ok()) return until.status();
    query.until_ns_ = *until;
  }
  return query;
}

bool FlowQuery::InTime(const FlowEntry& entry) const {
  return (!since_ns_ || entry.time_unix_ns() >= *since_ns_) && (!until_ns_ || entry.time_unix_ns() <= *until_ns_);
}

// The time first: it is known without the message being made.
bool FlowQuery::Wanted(const FlowEntry& entry) const {
  return InTime(entry) && (filters_.empty() || filters_.Matches(entry.Message(log_->mapper())));
}

void FlowQuery::Begin() {
  begun_ = true;
  const FlowRing::Window window = log_->ring().window();
  if (!follow_) end_ = window.next;
  position_ = window.oldest;
  if (first_ || since_ns_) return;
  if (follow_ && number_ == 0) {
    position_ = window.next;
  } else if (number_ != 0) {
    position_ = window.next;
    rewind_ = number_;
    if (filters_.empty() && !until_ns_) {
      position_ -= std::min(number_, window.next - window.oldest);
      rewind_ = 0;
    }
  }
}

// Goes back until enough of the newest have been found. What is overwritten meanwhile is not lost: nobody has begun to read.
FlowQuery::Step FlowQuery::Rewind() {
  for (std::size_t looked = 0; rewind_ > 0 && looked < kFlowsPerStep; looked += FlowRing::kBatch) {
    const std::uint64_t oldest = log_->ring().window().oldest;
    if (position_ <= oldest) {
      position_ = oldest;
      rewind_ = 0;
      break;
    }
    const std::uint64_t end = position_;
    std::uint64_t from = std::max(oldest, end - std::min<std::uint64_t>(end, FlowRing::kBatch));
    log_->ring().Read(&from, end, &batch_);
    for (auto entry = batch_.rbegin(); entry != batch_.rend() && rewind_ > 0; ++entry) {
      position_--;
      if (Wanted(**entry)) rewind_--;
    }
    if (batch_.empty()) position_ = from;  // all of them were overwritten
  }
  batch_.clear();
  return rewind_ > 0 ? Step::kMore : Step::kFlow;
}

bool FlowQuery::LostIsDue(std::uint64_t now_unix_ns) const {
  return lost_.flows > 0 && (now_unix_ns >= lost_told_ns_ + kLostEveryNs || now_unix_ns < lost_told_ns_);
}

FlowQuery::Step FlowQuery::Ended() const { return lost_.flows > 0 ? Step::kLost : Step::kEnd; }

FlowQuery::Step FlowQuery::Next(std::uint64_t now_unix_ns) {
  if (!begun_) Begin();
  if (rewind_ > 0 && Rewind() == Step::kMore) return Step::kMore;
  entry_.reset();
  for (std::size_t looked = 0; looked < kFlowsPerStep; looked++) {
    if (!follow_ && number_ > 0 && sent_ >= number_) return Ended();
    if (LostIsDue(now_unix_ns)) return Step::kLost;
    if (at_ == batch_.size()) {
      at_ = 0;
      if (const std::uint64_t lost = log_->ring().Read(&position_, end_, &batch_); lost > 0) {
        if (lost_.flows == 0) lost_.first_unix_ns = now_unix_ns;
        lost_.flows += lost;
        lost_.last_unix_ns = now_unix_ns;
        if (LostIsDue(now_unix_ns)) return Step::kLost;
      }
    }
    if (at_ == batch_.size()) {  // nothing was there
      if (!follow_ || (until_ns_ && now_unix_ns > *until_ns_)) return Ended();
      return Step::kWait;
    }
    FlowRing::Entry entry = std::move(batch_[at_++]);
    if (!Wanted(*entry)) continue;
    sent_++;
    entry_ = std::move(entry);
    return Step::kFlow;
  }
  return Step::kMore;
}

FlowQuery::Lost FlowQuery::TakeLost(std::uint64_t now_unix_ns) {
  lost_told_ns_ = now_unix_ns;
  return std::exchange(lost_, Lost());
}

}  // namespace knp::hubble
