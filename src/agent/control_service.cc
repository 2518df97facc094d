// See control_service.h.
#include "src/agent/control_service.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/export/json/json_lines.h"

namespace knp::agent {
namespace {

using kubenetprobe::agent::v1::Record;

constexpr std::size_t kMostFlows = 10'000;           // of one answer
constexpr std::chrono::milliseconds kPatience{200};  // how late the end of a call is noticed

grpc::Status StatusOf(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

struct Ranked {
  std::uint64_t bytes = 0;
  std::string line;
  friend bool operator>(const Ranked& a, const Ranked& b) { return a.bytes > b.bytes; }
};

}  // namespace

grpc::Status ControlService::GetStatus(grpc::ServerContext*, const kubenetprobe::agent::v1::GetStatusRequest*,
                                       Record* response) {
  response->set_json(source_.status());
  return grpc::Status::OK;
}

grpc::Status ControlService::Forward(grpc::ServerContext* context, RecordHub::Reader* reader, Writer* writer) const {
  while (!context->IsCancelled() && !stopping_) {
    auto line = reader->Next(kPatience);
    if (!line) continue;
    Record record;
    record.set_json(*line->json);
    record.set_lost_before(line->lost_before);
    if (!writer->Write(record)) break;
  }
  return grpc::Status::OK;
}

grpc::Status ControlService::GetFlows(grpc::ServerContext* context,
                                      const kubenetprobe::agent::v1::GetFlowsRequest* request, Writer* writer) {
  if (request->follow()) {
    const auto reader = hub_->Follow(RecordHub::Kind::kFlows);
    if (!reader.ok()) return StatusOf(reader.status());
    return Forward(context, reader->get(), writer);
  }
  // The monitor's state is locked meanwhile: lines are made then, and written afterwards. Of the largest only so many are kept.
  std::vector<Ranked> flows;
  const std::size_t most = request->most() == 0 ? kMostFlows : std::min<std::size_t>(request->most(), kMostFlows);
  const absl::Status status = source_.visit_flows([&flows, most](const FlowRecord& flow) {
    const std::uint64_t bytes = flow.sent.bytes + flow.received.bytes;
    if (flows.size() >= most && bytes <= flows.front().bytes) return;
    if (flows.size() >= most) {
      std::pop_heap(flows.begin(), flows.end(), std::greater<>());
      flows.pop_back();
    }
    Ranked& ranked = flows.emplace_back();
    ranked.bytes = bytes;
    json::AppendFlow(ranked.line, flow);
    ranked.line.pop_back();
    std::push_heap(flows.begin(), flows.end(), std::greater<>());
  });
  if (!status.ok()) return StatusOf(status);
  std::sort(flows.begin(), flows.end(), std::greater<>());
  for (Ranked& flow : flows) {
    Record record;
    record.set_json(std::move(flow.line));
    if (context->IsCancelled() || !writer->Write(record)) break;
  }
  return grpc::Status::OK;
}

grpc::Status ControlService::GetAlerts(grpc::ServerContext* context,
                                       const kubenetprobe::agent::v1::GetAlertsRequest* request, Writer* writer) {
  std::unique_ptr<RecordHub::Reader> reader;
  if (request->follow()) {  // before the list: what is raised in between is told, perhaps twice
    auto follow = hub_->Follow(RecordHub::Kind::kAlerts);
    if (!follow.ok()) return StatusOf(follow.status());
    reader = *std::move(follow);
  }
  bool found = false;
  const std::string mark = "\"id\":\"" + request->id() + "\"";
  for (std::string& line : hub_->Alerts()) {
    if (!request->id().empty() && line.find(mark) == std::string::npos) continue;
    found = true;
    Record record;
    record.set_json(std::move(line));
    if (!writer->Write(record)) return grpc::Status::OK;
  }
  if (!request->id().empty() && !found)
    return {grpc::StatusCode::NOT_FOUND, "there is no alert '" + request->id() + "' (`knp alerts` lists them)"};
  return reader ? Forward(context, reader.get(), writer) : grpc::Status::OK;
}

}  // namespace knp::agent
