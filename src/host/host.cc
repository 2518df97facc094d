// See host.h.
#include "src/host/host.h"

#include <pthread.h>

#include <chrono>
#include <utility>
#include <vector>

#include "src/base/clock.h"
#include "src/host/registry.h"

namespace knp::host {
namespace {

constexpr std::chrono::milliseconds kPollEvery{10};

}  // namespace

Host::Host(const Surroundings& surroundings) {
  for (const PieceRow& row : Pieces()) {
    if (!row.wanted(surroundings.options.host)) {
      rows_.push_back({.name = row.name, .piece = nullptr, .why = "switched off"});
      continue;
    }
    auto piece = row.make(surroundings);
    if (piece.ok())
      rows_.push_back({.name = row.name, .piece = *std::move(piece), .why = {}});
    else
      rows_.push_back({.name = row.name, .piece = nullptr, .why = std::string(piece.status().message())});
  }
  no_nat_ = surroundings.options.host.nat && !surroundings.nat_watch;
}

Host::~Host() { Stop(); }

void Host::Start() {
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Host::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  thread_ = {};
}

void Host::Catch() {
  const bool ran = thread_.joinable();
  Stop();
  const std::uint64_t now = MonoNow();
  for (const Row& row : rows_)
    if (row.piece) row.piece->Catch(now);
  if (ran) Start();
}

void Host::Run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "knp-host");
  while (!stop.stop_requested()) {
    Poll();
    std::this_thread::sleep_for(kPollEvery);
  }
}

void Host::Poll() {
  const std::uint64_t now = MonoNow();
  for (const Row& row : rows_)
    if (row.piece) row.piece->Poll(now);
}

void Host::Complete(FlowRecord* record) const {
  for (const Row& row : rows_)
    if (row.piece) row.piece->Complete(record);
  record->translation_unknown = no_nat_ && !record->folded && !record->tunnel;
}

bool Host::Listens(const IpAddress& address, std::uint16_t port) const {
  for (const Row& row : rows_)
    if (row.piece && row.piece->Listens(address, port)) return true;
  return false;
}

void Host::Describe(PacketStats* stats) const {
  stats->host.emplace();
  for (const Row& row : rows_) {
    HostPiece piece;
    piece.name = row.name;
    piece.why = row.why;
    piece.on = row.piece != nullptr;
    if (row.piece) row.piece->Describe(&piece, stats);
    stats->host->pieces.push_back(std::move(piece));
  }
  for (const Row& row : rows_) {
    if (!row.piece) continue;
    for (FlowRecord& record : row.piece->Dropped()) {
      Complete(&record);
      if (record.drops.empty()) continue;  // they were ordinary ends
      stats->host->dropped.push_back({.protocol = record.protocol,
                                      .source = std::move(record.source),
                                      .destination = std::move(record.destination),
                                      .first_unix_ns = record.start_unix_ns,
                                      .last_unix_ns = record.end_unix_ns,
                                      .drops = std::move(record.drops)});
    }
  }
}

}  // namespace knp::host
