// A streaming answer on gRPC's callback API: no thread waits for it. Somebody says what is next; this writes it, one message at a
// time, and sees to it that the call ends exactly once, whatever comes first of its end, the client's hanging up and the server's.
// FlowStream and ListStream are made of it.
#ifndef KNP_EXPORT_HUBBLE_PUMPED_WRITER_H_
#define KNP_EXPORT_HUBBLE_PUMPED_WRITER_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <utility>

#include "src/export/hubble/stream_pump.h"

namespace knp::hubble {

template <class Response>
class PumpedWriter : public grpc::ServerWriteReactor<Response>, public PumpedStream {
 public:
  // Begins to send; the reactor owns itself from here until gRPC is done with it.
  static PumpedWriter* Start(std::shared_ptr<PumpedWriter> writer) {
    PumpedWriter* const raw = writer.get();
    raw->self_ = writer;
    if (raw->pump_->Add(writer)) {
      writer->Advance();
    } else {
      raw->finished_ = true;
      raw->Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "as many streams are open as may be"});
    }
    return raw;
  }

  void Advance() final {
    {
      const std::lock_guard lock(mutex_);
      if (finished_) return;
      if (busy_) {
        again_ = true;
        return;
      }
      busy_ = true;
    }
    Work();
  }

  void Stop() final { End(&stopping_); }
  void OnCancel() final { End(&cancelled_); }

  void OnWriteDone(bool ok) final {
    {
      const std::lock_guard lock(mutex_);  // in any case: what another thread made of this message is seen from here on
      if (!ok) cancelled_ = true;
    }
    Sent();
    Work();
  }

  void OnDone() final {
    pump_->Remove(this);
    // Whoever else holds it at this moment lets go soon; nobody calls gRPC any more, since it is finished.
    const std::shared_ptr<PumpedWriter> last = std::move(self_);
  }

 protected:
  enum class Next { kWrite, kGoOn, kWait, kEnd };

  explicit PumpedWriter(StreamPump* pump) : pump_(pump) {}

  // Sets `response` for kWrite. Called by one thread at a time, never while a message is being written.
  virtual Next Produce(Response* response) = 0;
  // The last message has left.
  virtual void Sent() {}

 private:
  // Whoever has set busy_ does what there is to do, and is the only one to touch the call.
  void Work() {
    while (true) {
      if (FinishIfOver()) return;
      const Next next = Produce(&response_);
      if (next == Next::kWrite) {
        if (FinishIfOver()) return;
        this->StartWrite(&response_);
        return;  // OnWriteDone goes on
      }
      if (next == Next::kEnd) {
        {
          const std::lock_guard lock(mutex_);
          finished_ = true;
        }
        this->Finish(grpc::Status::OK);
        return;
      }
      const std::shared_ptr<PumpedWriter> self = self_;
      {
        const std::lock_guard lock(mutex_);
        if (cancelled_ || stopping_) continue;
        if (next == Next::kWait && std::exchange(again_, false)) continue;
        busy_ = false;
      }
      if (next == Next::kGoOn) pump_->GoOn(self);
      return;
    }
  }

  bool FinishIfOver() {
    bool cancelled = false;
    {
      const std::lock_guard lock(mutex_);
      if (!cancelled_ && !stopping_) return false;
      finished_ = true;
      cancelled = cancelled_;
    }
    Sent();
    this->Finish(cancelled ? grpc::Status::CANCELLED
                           : grpc::Status(grpc::StatusCode::UNAVAILABLE, "the agent is stopping"));
    return true;
  }

  void End(bool* why) {
    {
      const std::lock_guard lock(mutex_);
      *why = true;
      if (finished_ || busy_) return;  // who is busy sees it
      busy_ = true;
    }
    FinishIfOver();
  }

  StreamPump* const pump_;
  std::shared_ptr<PumpedWriter> self_;
  Response response_;

  std::mutex mutex_;
  bool busy_ = false;  // somebody works, or a message is being written
  bool again_ = false;
  bool cancelled_ = false, stopping_ = false, finished_ = false;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_PUMPED_WRITER_H_
