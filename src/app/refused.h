// What nDPI's word is not good enough for. Read by dissector.cc.
#ifndef KNP_APP_REFUSED_H_
#define KNP_APP_REFUSED_H_

#include <string_view>

namespace knp::app {

// True if `name`, a protocol as nDPI calls it, is not to be believed; refused.cc gives each one's reason.
bool IsRefused(std::string_view name);

}  // namespace knp::app

#endif  // KNP_APP_REFUSED_H_
