// A stream of messages that are known when it begins; a client that follows then waits for more, which never come, until it hangs up.
#ifndef KNP_EXPORT_HUBBLE_LIST_STREAM_H_
#define KNP_EXPORT_HUBBLE_LIST_STREAM_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "src/export/hubble/pumped_writer.h"

namespace knp::hubble {

template <class Response>
class ListStream final : public PumpedWriter<Response> {
 public:
  using Base = PumpedWriter<Response>;
  ListStream(StreamPump* pump, std::vector<Response> messages, bool follow)
      : Base(pump), messages_(std::move(messages)), follow_(follow) {}

 private:
  typename Base::Next Produce(Response* response) override {
    if (at_ == messages_.size()) return follow_ ? Base::Next::kWait : Base::Next::kEnd;
    *response = std::move(messages_[at_++]);
    return Base::Next::kWrite;
  }

  std::vector<Response> messages_;
  const bool follow_;
  std::size_t at_ = 0;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_LIST_STREAM_H_
