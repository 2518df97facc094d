// Makes Hubble's flow of a record of ours: docs/hubble.md has the table. A pure function of record, event and settings, so any thread
// may use one mapper.
#ifndef KNP_EXPORT_HUBBLE_FLOW_MAPPER_H_
#define KNP_EXPORT_HUBBLE_FLOW_MAPPER_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proto/hubble/flow.pb.h"
#include "src/export/hubble/endpoint_identity.h"
#include "src/export/hubble/flow_event.h"

namespace knp::hubble {

struct MapperOptions {
  std::string node_name;
  std::string cluster_name = "default";
  std::vector<std::string> node_labels;  // "key=value"
  // Whether an address is this node's own; empty: only what the records say of their ends is known. Thread-safe.
  std::function<bool(const IpAddress&)> is_local_address;
  // A conversation's Community ID, or ""; empty: none is sent. Thread-safe.
  std::function<std::string(const FlowRecord&)> community_id;
  std::uint64_t instance = 0;  // a random number that makes this process's flow uuids unlike another's
};

class FlowMapper {
 public:
  explicit FlowMapper(MapperOptions options);

  // `sequence`: of the flow in this process, for its uuid.
  ::flow::Flow Map(const FlowRecord& record, FlowEvent event, std::uint64_t sequence) const;

  // "node", or "cluster/node" where the cluster has a name of its own.
  const std::string& absolute_node_name() const { return absolute_node_name_; }
  const MapperOptions& options() const { return options_; }

 private:
  Whereabouts Where(const Endpoint& endpoint, bool has_socket) const;
  void MapEndpoint(const Endpoint& from, Whereabouts where, ::flow::Endpoint* to) const;

  const MapperOptions options_;
  const std::string absolute_node_name_;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_MAPPER_H_
