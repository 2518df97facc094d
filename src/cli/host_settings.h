// The settings of what the host is asked: rows of the table in settings.cc.
#ifndef KNP_CLI_HOST_SETTINGS_H_
#define KNP_CLI_HOST_SETTINGS_H_

#include <span>

namespace knp::cli {

struct Setting;

// By key.
std::span<const Setting> HostSettings();

}  // namespace knp::cli

#endif  // KNP_CLI_HOST_SETTINGS_H_
