// See json_identity.h.
#include "src/export/json/json_identity.h"

namespace knp::json {

void PutIdentity(Object& endpoint, const Endpoint& of) {
  if (of.identity) {
    const Identity& who = *of.identity;
    endpoint.Known("namespace", who.namespace_name);
    endpoint.Known("pod", who.pod);
    if (!who.workload.name.empty()) {
      Object workload(endpoint.Key("workload"));
      workload.Known("kind", who.workload.kind);
      workload.Text("name", who.workload.name);
    }
  }
  endpoint.Known("service", of.service);
  if (!of.identity) return;
  endpoint.Known("node", of.identity->node);
  endpoint.Known("zone", of.identity->zone);
  if (of.identity->labels.empty()) return;
  std::string& out = endpoint.Key("labels");
  char separator = '{';
  for (const auto& [key, value] : of.identity->labels) {
    out += separator;
    AppendString(out, key);
    out += ':';
    AppendString(out, value);
    separator = ',';
  }
  out += '}';
}

}  // namespace knp::json
