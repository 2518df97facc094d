// The names under which users see the kernel's reasons and losses (abi/knp_abi.h): the keys of Ledger::remainder and
// Ledger::lost.
#ifndef KNP_DATAPATH_REASONS_H_
#define KNP_DATAPATH_REASONS_H_

#include <string>

namespace knp::datapath {

std::string ReasonName(unsigned reason);
std::string LossName(unsigned loss);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_REASONS_H_
