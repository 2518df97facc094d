// Whom the agent asks for names: the Kubernetes API, if there is one, through src/identity. What is known of a cluster outlives a
// time without it.
#ifndef KNP_AGENT_NAMES_H_
#define KNP_AGENT_NAMES_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "src/agent/config.h"
#include "src/export/prometheus/families.h"
#include "src/identity/directory.h"
#include "src/identity/source.h"

namespace knp::agent {

class Names {
 public:
  // Null: not wanted, or, with `auto`, no API is in sight. Errors: it is wanted, and the settings or files are wrong; that
  // the API does not answer is none.
  static absl::StatusOr<std::unique_ptr<Names>> Start(const KubernetesConfig& config, const std::string& node_name);
  ~Names();
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  std::shared_ptr<const EndpointNamer> namer() const { return directory_; }
  // Whether all that may be read has been.
  bool ready() const { return source_->Status().Ready(); }
  // "ready: 5000 pods, 40 nodes, 300 services", or what is missing.
  std::string Describe() const;
  void AppendFamilies(prometheus_text::Families* families) const;

 private:
  Names() = default;
  std::shared_ptr<identity::Directory> directory_;
  std::unique_ptr<identity::IdentitySource> source_;
};

}  // namespace knp::agent

#endif  // KNP_AGENT_NAMES_H_
