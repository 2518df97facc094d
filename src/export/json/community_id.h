// Community ID, version 1: the hash of a conversation's ends by which Zeek's, Suricata's and our records of it can be joined
// (github.com/corelight/community-id-spec). The same for both directions.
#ifndef KNP_EXPORT_JSON_COMMUNITY_ID_H_
#define KNP_EXPORT_JSON_COMMUNITY_ID_H_

#include <knp/flow_record.h>

#include <string>

namespace knp::json {

// "1:" and 28 characters, of seed 0; "" if it could not be computed. Thread-safe.
std::string CommunityId(const FlowRecord& flow);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_COMMUNITY_ID_H_
