// The directory under a bpffs where maps and links are pinned, so that they outlive this process: made, held by one agent
// at a time, cleared. What lies in it: state_N, the maps of one layout (pinned_state.h), the highest N being the one in
// use; link_IFINDEX_DIRECTION, our tcx links.
#ifndef KNP_DATAPATH_PIN_DIRECTORY_H_
#define KNP_DATAPATH_PIN_DIRECTORY_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/base/unique_fd.h"

namespace knp::datapath {

class PinDirectory {
 public:
  // Makes it if it is not there, and holds it until this object goes or the process dies. FailedPrecondition: another
  // process holds it, which is named; or it is on no bpffs.
  static absl::StatusOr<std::unique_ptr<PinDirectory>> Open(const std::string& path);
  // NotFound: there is none.
  static absl::StatusOr<std::unique_ptr<PinDirectory>> OpenExisting(const std::string& path);

  const std::string& path() const { return path_; }
  // In the names of our clsact filters, which cannot be pinned: no other directory of this machine has it.
  const std::string& token() const { return token_; }
  // Ascending.
  std::vector<std::uint32_t> States() const;
  std::string StatePath(std::uint32_t number) const;
  std::string LinkPath(std::uint32_t ifindex, Direction direction) const;
  std::vector<std::string> Links() const;  // their paths

  absl::Status RemoveState(std::uint32_t number) const;
  // With all that is in it.
  absl::Status RemoveAll() const;

 private:
  PinDirectory(std::string path, std::string token, UniqueFd fd)
      : path_(std::move(path)), token_(std::move(token)), fd_(std::move(fd)) {}
  static absl::StatusOr<std::unique_ptr<PinDirectory>> Hold(const std::string& path);

  std::string path_, token_;
  UniqueFd fd_;  // has the lock
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_PIN_DIRECTORY_H_
