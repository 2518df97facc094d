// See host_settings.h.
#include "src/cli/host_settings.h"

#include <string>

#include "src/cli/setting_row.h"

namespace knp::cli {
namespace {

template <auto kField, std::uint64_t kLeast = 0, std::uint64_t kMost = 0>
absl::Status Host(const std::string& text, const SettingTargets& t, const char* range) {
  return StoreByType<kLeast, kMost>(text, range, t.options.host.*kField);
}

constexpr Setting kSettings[] = {
    {"host.capacity", "1024 to 10000000", "sockets, processes and translations kept, of each; about 200 bytes each",
     Host<&HostOptions::capacity, 1024, 10'000'000>},
    {"host.drops", "on or off", "whether the kernel is asked what it drops, and why", Host<&HostOptions::drops>},
    {"host.interfaces", "on or off", "whether interfaces and their queues are asked what ails them",
     Host<&HostOptions::interfaces>},
    {"host.nat", "on or off", "whether the kernel is asked what it translates", Host<&HostOptions::nat>},
    {"host.processes", "on or off", "whether it is asked whose sockets conversations are of",
     Host<&HostOptions::processes>},
    {"host.sockets", "on or off", "whether sockets are asked for round trips, retransmits and queues",
     Host<&HostOptions::sockets>},
    {"host.survey_interval", "100ms to 1h", "how often all sockets are asked",
     Host<&HostOptions::survey_interval, 100, 3'600'000>},
};

}  // namespace

std::span<const Setting> HostSettings() { return kSettings; }

}  // namespace knp::cli
