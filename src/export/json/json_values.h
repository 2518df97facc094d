// What the seldom written lines, which go through a JSON library, have in common.
#ifndef KNP_EXPORT_JSON_JSON_VALUES_H_
#define KNP_EXPORT_JSON_JSON_VALUES_H_

#include <knp/types.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace knp::json {

using Json = nlohmann::ordered_json;

inline Json CountJson(const Count& count) { return {{"packets", count.packets}, {"bytes", count.bytes}}; }

// To three decimals.
inline double Rounded(double value) { return std::round(value * 1000) / 1000; }

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_VALUES_H_
