// The settings of detection: rows of the table in settings.cc, kept apart because there are many.
#ifndef KNP_CLI_DETECTION_SETTINGS_H_
#define KNP_CLI_DETECTION_SETTINGS_H_

#include <absl/status/statusor.h>
#include <knp/detection.h>

#include <span>
#include <string>

namespace knp::cli {

struct Setting;

// By key.
std::span<const Setting> DetectionSettings();

// "10.0.0.0/8:packets=20000,bits=1G,flows=3500[,whole]": at least one limit; K, M and G are powers of 1000.
absl::StatusOr<LimitRule> ParseLimit(const std::string& text);
// "TYPE[,source=PREFIX][,target=PREFIX]", each prefix as often as wanted; TYPE: "scan", "anomaly.beacon", …, "any".
absl::StatusOr<Suppression> ParseSuppression(const std::string& text);

}  // namespace knp::cli

#endif  // KNP_CLI_DETECTION_SETTINGS_H_
