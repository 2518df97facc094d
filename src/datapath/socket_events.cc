// See socket_events.h.
#include "src/datapath/socket_events.h"

#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "abi/knp_sockets.h"
#include "src/base/cgroup_root.h"
#include "src/datapath/embedded_object.h"
#include "src/datapath/errors.h"
#include "src/datapath/features.h"
#include "src/datapath/socket_layout.h"

namespace knp::datapath {
namespace {

// A third of a second of 20,000 connections a second, of four notices each: as long as a busy machine may leave us waiting.
constexpr std::uint32_t kRingBytes = 4 << 20;
constexpr int kMostAtOnce = 8192;  // of notices in one Poll: who goes on making them must not hold it
constexpr int kEnough = -ECANCELED;
constexpr std::uint32_t kSynSent = 2, kListening = 10;  // of <linux/tcp_states.h>

struct Hook {
  const char* program;
  bpf_attach_type type;
  const char* without;  // what is not known without it
};
constexpr Hook kHooks[] = {
    {"knp_sock_ops", BPF_CGROUP_SOCK_OPS, "TCP connections"},
    {"knp_connect4", BPF_CGROUP_INET4_CONNECT, "who connects (IPv4)"},
    {"knp_connect6", BPF_CGROUP_INET6_CONNECT, "who connects (IPv6)"},
    {"knp_sock_create", BPF_CGROUP_INET_SOCK_CREATE, "who makes sockets"},
    {"knp_sock_release", BPF_CGROUP_INET_SOCK_RELEASE, "connected UDP, and who has accepted"},
    {"knp_post_bind4", BPF_CGROUP_INET4_POST_BIND, "who binds (IPv4)"},
    {"knp_post_bind6", BPF_CGROUP_INET6_POST_BIND, "who binds (IPv6)"},
    {"knp_sendmsg4", BPF_CGROUP_UDP4_SENDMSG, "unconnected UDP (IPv4)"},
    {"knp_sendmsg6", BPF_CGROUP_UDP6_SENDMSG, "unconnected UDP (IPv6)"},
};

// IPv4 that is mapped into IPv6 becomes IPv4 (RFC 4291, 2.5.5.2).
IpAddress AddressOf(const __u8 (&bytes)[16], std::uint8_t version) {
  static constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  IpAddress address;
  address.version = version;
  if (version == 6 && std::memcmp(bytes, kMapped.data(), kMapped.size()) == 0) {
    address.version = 4;
    std::memcpy(address.bytes.data(), bytes + kMapped.size(), 4);
    return address;
  }
  std::memcpy(address.bytes.data(), bytes, version == 6 ? 16 : 4);
  return address;
}

template <std::size_t size>
std::string TextOf(const char (&text)[size]) {
  return {text, strnlen(text, size)};
}

SocketOwner OwnerFrom(const knp_socket_owner& owner) {
  return {.pid = owner.tgid,
          .tid = owner.tid,
          .comm = TextOf(owner.comm),
          .cgroup = owner.cgroup,
          .cgroup_v1 = owner.cgroup_v1,
          .netns_cookie = owner.netns_cookie,
          .since_mono_ns = owner.since_ns};
}

std::optional<SocketNotice::Kind> KindOf(std::uint8_t kind) {
  switch (kind) {
    case KNP_SOCKET_CONNECT: return SocketNotice::Kind::kConnect;
    case KNP_SOCKET_ACCEPTED: return SocketNotice::Kind::kAccepted;
    case KNP_SOCKET_LISTEN: return SocketNotice::Kind::kListen;
    case KNP_SOCKET_BOUND: return SocketNotice::Kind::kBound;
    case KNP_SOCKET_SENT: return SocketNotice::Kind::kSent;
    case KNP_SOCKET_CLOSED: return SocketNotice::Kind::kClosed;
    default: return std::nullopt;
  }
}

SocketNotice NoticeFrom(const knp_socket_notice& told, SocketNotice::Kind kind) {
  SocketNotice notice;
  notice.kind = kind;
  notice.time_mono_ns = told.time_ns;
  notice.cookie = told.cookie;
  if (told.owned != KNP_SOCKET_NOBODYS) notice.owner = OwnerFrom(told.owner);
  notice.inherited = told.owned == KNP_SOCKET_INHERITED;
  notice.protocol = told.protocol;
  notice.local = AddressOf(told.local, told.version);
  notice.local_port = told.local_port;
  notice.remote = AddressOf(told.remote, told.version);
  if (notice.remote.version == 4) notice.local.version = 4;  // of a socket of IPv6 that talks IPv4, bound to none
  notice.remote_port = told.remote_port;
  if (kind != SocketNotice::Kind::kClosed || told.protocol != IPPROTO_TCP || told.old_state == kListening)
    return notice;
  notice.never_established = told.old_state == kSynSent;
  notice.error = static_cast<int>(told.error);
  notice.fate.emplace();
  notice.fate->srtt_ns = std::uint64_t{told.srtt_us} * 1000 / 8;
  notice.fate->retransmits = told.retransmits;
  notice.fate->cwnd = told.cwnd;
  notice.fate->congestion_algorithm = TextOf(told.algorithm);
  return notice;
}

bool Names(const std::vector<std::string>& programs, std::string_view program) {
  return std::find(programs.begin(), programs.end(), program) != programs.end();
}

// Older kernels let some programs not read the kernel's memory: then they do without, and `config` says so. That code is dead
// to them.
absl::StatusOr<SideObject> LoadPrograms(std::uint32_t sockets, const Features& features, knp_socket_config* config,
                                        std::vector<std::string>* refused) {
  const SideObject::MapSize sizes[] = {{"knp_socket_owners", sockets},
                                       {"knp_socket_told", std::max<std::uint32_t>(sockets / 4, 64)},
                                       {"knp_socket_ring", kRingBytes},
                                       {".rodata.knp_sockets", 0, std::as_bytes(std::span(config, 1))}};
  const auto load = [&] {
    return SideObject::LoadSome({"the programs of sockets", EmbeddedSockets(), {}}, sizes, features, refused);
  };
  std::optional<absl::StatusOr<SideObject>> object(load());
  if (config->sk_err != 0 && (!object->ok() || Names(*refused, kHooks[0].program))) {
    config->sk_err = 0;
    object.emplace(load());
  }
  if (config->v1_steps[0] == 0 || (object->ok() && refused->empty())) return *std::move(object);
  // Whoever is refused may be so for other reasons.
  const knp_socket_config with = std::exchange(*config, {.sk_err = config->sk_err, .v1_steps = {}});
  const std::vector<std::string> refused_with = *refused;
  auto without = load();
  if (without.ok() && (!object->ok() || refused->size() < refused_with.size())) return without;
  *config = with;
  *refused = refused_with;
  return *std::move(object);
}

}  // namespace

std::string FindCgroup2(const std::string& mountinfo, int* height_found) {
  // proc(5): id parent major:minor root mount-point options [fields…] - type source options
  std::string best;
  int height = -1;
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2 || halves[1].substr(0, 8) != "cgroup2 ") continue;
    const std::vector<absl::string_view> words = absl::StrSplit(halves[0], ' ');
    if (words.size() < 5) continue;
    const int here = HeightOfCgroupRoot(std::string_view(words[3].data(), words[3].size()));
    if (here <= height) continue;
    height = here;
    best = std::string(words[4]);
  }
  if (height_found) *height_found = height;
  return best;
}

namespace {

struct CgroupRoot {
  UniqueFd fd;
  std::string where;
  bool whole = true;  // false: this container's cgroup alone
};

absl::StatusOr<CgroupRoot> OpenCgroupRoot() {
  std::ifstream file("/proc/self/mountinfo");
  int height = 0;
  const std::string mount = FindCgroup2({std::istreambuf_iterator<char>(file), {}}, &height);
  const bool in_sight = !mount.empty() && (height > 0 || InHostCgroupNamespace());
  if (!in_sight)
    if (UniqueFd own = MountCgroup2(); own.valid()) return CgroupRoot{std::move(own), "a mount of our own"};
  if (mount.empty()) return absl::UnimplementedError("cgroup v2 is not mounted: mount it, or share the host's mount");
  CgroupRoot root{UniqueFd(open(mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), mount, in_sight};
  if (!root.fd.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", mount));
  return root;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SocketEvents>> SocketEvents::Create(std::size_t capacity,
                                                                   const std::string& disabled_features,
                                                                   const std::string& v1_controller) {
  const auto features = Features::Probe(disabled_features);
  if (!features.ok()) return features.status();
  if (!features->MayHave(Feature::kRingbuf))
    return absl::UnimplementedError("this kernel has no BPF ring buffer (Linux 5.8), or it is switched off");
  auto root = OpenCgroupRoot();
  if (!root.ok()) return root.status();
  const auto sockets = static_cast<std::uint32_t>(std::clamp<std::size_t>(capacity, 64, 1 << 24));
  knp_socket_config config = features->MayHave(Feature::kBtf) ? ReadSocketLayout(v1_controller) : knp_socket_config{};
  std::vector<std::string> refused;
  auto object = LoadPrograms(sockets, *features, &config, &refused);
  if (!object.ok()) return object.status();
  std::unique_ptr<SocketEvents> events(new SocketEvents(root->where, *std::move(object)));
  events->ring_ = ring_buffer__new(events->object_.MapFd("knp_socket_ring"), OnRecord, events.get(), nullptr);
  if (!events->ring_) return ErrnoStatus(errno, "cannot map the ring of socket notices");
  if (absl::Status status = events->Attach(root->fd.get(), refused); !status.ok()) return status;
  if (!root->whole)
    events->LeaveOut(
        "all but this container: the host's cgroups are not in sight; share its /sys/fs/cgroup, or its processes "
        "(hostPID) and CAP_SYS_ADMIN");
  if (config.sk_err == 0) events->LeaveOut("why connects fail: this kernel does not tell where its sockets keep that");
  if (!v1_controller.empty() && config.v1_steps[0] == 0)
    events->LeaveOut(
        "containers of cgroup v1 alone are named only while their process lives: this kernel does not tell where its "
        "tasks keep their cgroups, or lets no program read it");
  return events;
}

void SocketEvents::LeaveOut(const std::string& what) { left_out_ += (left_out_.empty() ? "" : "; ") + what; }

absl::Status SocketEvents::Attach(int root, const std::vector<std::string>& refused) {
  std::vector<std::string> missing;
  int first_error = 0;
  for (const Hook& hook : kHooks) {
    if (Names(refused, hook.program)) {
      missing.push_back(fmt::format("{}: this kernel refuses {}", hook.without, hook.program));
      continue;
    }
    const int link = bpf_link_create(object_.ProgramFd(hook.program), root, hook.type, nullptr);
    if (link >= 0) {
      links_.emplace_back(link);
      continue;
    }
    if (first_error == 0) first_error = -link;
    missing.push_back(fmt::format("{}: cannot attach {} to {} (errno {})", hook.without, hook.program, mount_, -link));
  }
  if (links_.empty())
    return first_error != 0 ? ErrnoStatus(first_error, fmt::format("cannot attach to {}", mount_))
                            : absl::UnimplementedError("this kernel refuses all programs of sockets");
  left_out_ = absl::StrJoin(missing, "; ");
  return absl::OkStatus();
}

SocketEvents::~SocketEvents() {
  links_.clear();
  ring_buffer__free(ring_);
}

absl::Status SocketEvents::Poll(const std::function<void(SocketNotice notice)>& take) {
  take_ = &take;
  left_ = kMostAtOnce;
  const int result = ring_buffer__consume(ring_);
  take_ = nullptr;
  return result >= 0 || result == kEnough ? absl::OkStatus()
                                          : ErrnoStatus(-result, "cannot read the ring of socket notices");
}

int SocketEvents::OnRecord(void* self, void* data, std::size_t size) {
  static_assert(offsetof(knp_socket_notice, srtt_us) == KNP_SOCKET_NOTICE_SHORT);
  knp_socket_notice told{};
  if (size < KNP_SOCKET_NOTICE_SHORT) return 0;
  std::memcpy(&told, data, std::min(size, sizeof told));
  auto* const events = static_cast<SocketEvents*>(self);
  if (const auto kind = KindOf(told.kind)) (*events->take_)(NoticeFrom(told, *kind));
  return --events->left_ == 0 ? kEnough : 0;
}

std::optional<SocketOwner> SocketEvents::OwnerOf(std::uint64_t cookie) const {
  knp_socket_owner owner{};
  if (bpf_map_lookup_elem(object_.MapFd("knp_socket_owners"), &cookie, &owner) != 0) return std::nullopt;
  return OwnerFrom(owner);
}

std::uint64_t SocketEvents::lost() const {
  const std::uint32_t zero = 0;
  std::uint64_t lost = 0;
  return bpf_map_lookup_elem(object_.MapFd("knp_socket_lost"), &zero, &lost) == 0 ? lost : 0;
}

}  // namespace knp::datapath
