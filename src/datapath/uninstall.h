// Takes away what hooks that outlive their process have left: see datapath_restart.cc for how they come to be.
#ifndef KNP_DATAPATH_UNINSTALL_H_
#define KNP_DATAPATH_UNINSTALL_H_

#include <absl/status/status.h>

#include <string>

namespace knp::datapath {

// As NetworkMonitor::Uninstall says. From a thread in the hooks' network namespace.
absl::Status Uninstall(const std::string& pin_directory);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_UNINSTALL_H_
