// See errors.h.
#include "src/datapath/errors.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace knp::datapath {
namespace {

constexpr unsigned kCapPerfmon = 38, kCapBpf = 39;  // Linux 5.8; older headers lack the names

std::mutex log_mutex;
std::string log_text;                  // guarded by log_mutex, which a LibbpfLog holds
thread_local bool collecting = false;  // other threads' messages meanwhile are none of ours

int Collect(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG || !collecting) return 0;
  // Whole: a verifier's log is one message of many lines, and what it objects to is in its last ones.
  va_list again;
  va_copy(again, arguments);
  const int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  const std::size_t before = log_text.size();
  log_text.resize(before + static_cast<std::size_t>(length) + 1);
  vsnprintf(log_text.data() + before, static_cast<std::size_t>(length) + 1, format, arguments);
  log_text.pop_back();
  if (log_text.size() > 65536) log_text.erase(0, log_text.size() - 32768);
  return 0;
}

}  // namespace

bool HasCapability(unsigned capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[capability / 32].effective >> (capability % 32)) & 1;
}

std::string MissingCapabilities() {
  if (HasCapability(CAP_SYS_ADMIN) && HasCapability(CAP_NET_ADMIN)) return "";
  std::string missing;
  const auto need = [&missing](unsigned capability, const char* name) {
    if (!HasCapability(capability)) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  if (!HasCapability(CAP_SYS_ADMIN)) {
    need(kCapBpf, "CAP_BPF");
    need(kCapPerfmon, "CAP_PERFMON");
  }
  need(CAP_NET_ADMIN, "CAP_NET_ADMIN");
  return missing;
}

absl::Status ErrnoStatus(int error, const std::string& what) {
  const std::string text = fmt::format("{}: {}", what, strerror(error));
  switch (error) {
    case EPERM:
    case EACCES: {
      const std::string missing = MissingCapabilities();
      if (!missing.empty())
        return absl::PermissionDeniedError(fmt::format(
            "{}; missing {}: run as root or grant them (setcap, or the pod's securityContext)", text, missing));
      return absl::PermissionDeniedError(
          text + "; the capabilities are held, so a security module, kernel lockdown or seccomp refuses it");
    }
    case ENOENT:
    case ENODEV:
    case ENXIO: return absl::NotFoundError(text);
    case EEXIST: return absl::AlreadyExistsError(text);
    case ENOMEM:
    case ENOSPC:
    case E2BIG: return absl::ResourceExhaustedError(text);
    default: return absl::InternalError(text);
  }
}

// NOLINTBEGIN(concurrency-mt-unsafe)
LibbpfLog::LibbpfLog() {
  log_mutex.lock();
  log_text.clear();
  collecting = true;
  libbpf_set_print(Collect);
}

LibbpfLog::~LibbpfLog() {
  collecting = false;
  libbpf_set_print(nullptr);
  log_mutex.unlock();
}
// NOLINTEND(concurrency-mt-unsafe)

std::string LibbpfLog::Tail() const {
  constexpr std::size_t kMost = 1024;
  std::size_t from = log_text.size() > kMost ? log_text.find('\n', log_text.size() - kMost) + 1 : 0;
  std::string tail = log_text.substr(from);
  while (!tail.empty() && tail.back() == '\n') tail.pop_back();
  return tail;
}

}  // namespace knp::datapath
