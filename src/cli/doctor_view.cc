// See doctor_view.h.
#include "src/cli/doctor_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kAnswerWidth = 9;

std::string Line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

bool Works(const FeatureReport& feature) { return feature.available == Answer::kYes && !feature.disabled; }

bool Refused(const FeatureReport& feature) {
  return feature.required && (feature.available == Answer::kNo || feature.disabled);
}

bool LacksNeeded(const CapabilityReport& capability) { return !capability.held && capability.required; }

bool HasPlaceToAttach(const Diagnosis& diagnosis) {
  return std::any_of(diagnosis.features.begin(), diagnosis.features.end(), [](const FeatureReport& feature) {
    return (feature.name == "tcx" || feature.name == "clsact") && feature.available != Answer::kNo && !feature.disabled;
  });
}

Style StyleOf(const FeatureReport& feature) {
  if (Works(feature)) return Style::kGood;
  if (Refused(feature)) return Style::kBad;
  return Style::kWarning;
}

std::vector<std::string> Words(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c != ' ')
      words.back() += c;
    else if (!words.back().empty())
      words.emplace_back();
  }
  return words;
}

// `text` wrapped into lines of the canvas, all indented by `indent`.
void AppendWrapped(std::vector<TextLine>& lines, const std::string& text, int indent, Style style,
                   const Canvas& canvas) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  std::string line;
  for (const std::string& word : Words(Printable(text, canvas.utf8))) {
    if (!line.empty() && indent + DisplayWidth(line) + 1 + DisplayWidth(word) > canvas.width) {
      lines.emplace_back(margin + line, style);
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  if (!line.empty()) lines.emplace_back(margin + line, style);
}

int NameWidth(const Diagnosis& diagnosis) {
  int width = 8;
  for (const CapabilityReport& capability : diagnosis.capabilities)
    width = std::max(width, DisplayWidth(capability.name));
  for (const FeatureReport& feature : diagnosis.features) width = std::max(width, DisplayWidth(feature.name));
  return width + 2;
}

void AppendFeature(std::vector<TextLine>& lines, const FeatureReport& feature, int name_width, const Canvas& canvas) {
  TextLine line("  " + Cell(feature.name, name_width, Align::kLeft, ""), Style::kBold);
  const char* answer = feature.disabled ? "off" : AnswerName(feature.available);
  line.Add(Cell(answer, kAnswerWidth, Align::kLeft, ""), StyleOf(feature));
  std::string remark;
  const auto say = [&remark](const std::string& what) { remark += (remark.empty() ? "" : ", ") + what; };
  if (feature.required) say("required");
  if (!feature.since.empty()) say("since Linux " + feature.since);
  if (feature.disabled) say("switched off by --disable-features or KNP_DISABLE_FEATURES");
  line.Add(remark, Style::kDim);
  lines.push_back(std::move(line.CutTo(canvas.width, GlyphsOf(canvas).ellipsis)));
  const bool missing = feature.disabled || feature.available == Answer::kNo;
  if (missing && !feature.without_it.empty())
    AppendWrapped(lines, "without it: " + feature.without_it, 2 + name_width + kAnswerWidth, Style::kDim, canvas);
}

// Why features are unknown: as a rule all for the same reason, so each reason is told once.
void AppendReasons(std::vector<TextLine>& lines, const Diagnosis& diagnosis, const Canvas& canvas) {
  std::vector<std::string> reasons;
  for (const FeatureReport& feature : diagnosis.features) {
    const bool known = std::find(reasons.begin(), reasons.end(), feature.detail) != reasons.end();
    if (feature.available == Answer::kUnknown && !feature.detail.empty() && !known) reasons.push_back(feature.detail);
  }
  for (const std::string& reason : reasons) AppendWrapped(lines, "unknown: " + reason, 2, Style::kDim, canvas);
}

void AppendVerdict(std::vector<TextLine>& lines, const Diagnosis& diagnosis, const Canvas& canvas) {
  const Glyphs& glyphs = GlyphsOf(canvas);
  if (diagnosis.can_run) {
    lines.emplace_back(fmt::format("{} knp monitor can run here", glyphs.check), Style::kGood);
    return;
  }
  const char* advice = ExitStatusOf(diagnosis) == kExitPermission ? " (run it as root, or grant these)" : "";
  AppendWrapped(lines, fmt::format("{} knp monitor cannot run here: {}{}", glyphs.cross, diagnosis.problem, advice), 0,
                Style::kBad, canvas);
}

void AppendHost(std::vector<TextLine>& lines, const std::vector<HostPiece>& host, int name_width,
                const Canvas& canvas) {
  lines.emplace_back("HOST: what it can be asked besides its packets", Style::kTitle);
  for (const HostPiece& piece : host) {
    TextLine line("  " + Cell(piece.name, name_width, Align::kLeft, ""), Style::kBold);
    const bool whole = piece.on && piece.why.empty();
    line.Add(Cell(!piece.on ? "no"
                  : whole   ? "yes"
                            : "partly",
                  kAnswerWidth, Align::kLeft, ""),
             whole ? Style::kGood : Style::kWarning);
    const int indent = line.width();
    std::vector<TextLine> remark;
    const Canvas beside{.width = canvas.width - indent, .utf8 = canvas.utf8};
    // Processes and sockets are watched by the same programs: what is true of both is told once.
    const auto same = std::find_if(host.data(), &piece, [&piece](const HostPiece& before) {
      return before.on == piece.on && before.how == piece.how && before.why == piece.why;
    });
    if (same != &piece && !(piece.how + piece.why).empty()) {
      AppendWrapped(remark, "as " + same->name, 0, Style::kDim, beside);
    } else {
      AppendWrapped(remark, piece.how, 0, Style::kDim, beside);
      AppendWrapped(remark, piece.on && !piece.why.empty() ? "lacks: " + piece.why : piece.why, 0, Style::kDim, beside);
    }
    for (std::size_t i = 0; i < remark.size(); ++i) {
      if (i > 0) line = TextLine(std::string(static_cast<std::size_t>(indent), ' '));
      lines.push_back(std::move(line.Add(remark[i]).CutTo(canvas.width, GlyphsOf(canvas).ellipsis)));
    }
    if (remark.empty()) lines.push_back(std::move(line));
  }
  lines.emplace_back();
}

}  // namespace

std::vector<TextLine> RenderDiagnosis(const Diagnosis& diagnosis, const Canvas& canvas,
                                      const std::vector<HostPiece>& host) {
  std::vector<TextLine> lines;
  TextLine kernel("KERNEL ", Style::kTitle);
  kernel.Add(fmt::format("Linux {}, {}, {} possible CPUs", Printable(diagnosis.kernel, canvas.utf8), diagnosis.machine,
                         diagnosis.possible_cpus));
  lines.push_back(std::move(kernel));
  const int name_width = NameWidth(diagnosis);
  lines.emplace_back();
  lines.emplace_back("RIGHTS", Style::kTitle);
  for (const CapabilityReport& capability : diagnosis.capabilities) {
    TextLine line("  " + Cell(capability.name, name_width, Align::kLeft, ""), Style::kBold);
    line.Add(Cell(capability.held ? "yes" : "no", kAnswerWidth, Align::kLeft, ""),
             capability.held ? Style::kGood : Style::kWarning);
    const int indent = line.width();
    std::vector<TextLine> remark;
    AppendWrapped(remark, capability.needed_for, 0, Style::kDim, {.width = canvas.width - indent, .utf8 = canvas.utf8});
    for (std::size_t i = 0; i < remark.size(); ++i) {
      if (i > 0) line = TextLine(std::string(static_cast<std::size_t>(indent), ' '));
      lines.push_back(std::move(line.Add(remark[i]).CutTo(canvas.width, GlyphsOf(canvas).ellipsis)));
    }
    if (remark.empty()) lines.push_back(std::move(line));
  }
  lines.emplace_back();
  lines.emplace_back("FEATURES of this kernel", Style::kTitle);
  for (const FeatureReport& feature : diagnosis.features) AppendFeature(lines, feature, name_width, canvas);
  AppendReasons(lines, diagnosis, canvas);
  lines.emplace_back();
  if (!host.empty()) AppendHost(lines, host, name_width, canvas);
  AppendVerdict(lines, diagnosis, canvas);
  return lines;
}

std::vector<TextLine> RenderCosts(const std::vector<ProgramCost>& costs, std::chrono::milliseconds duration,
                                  const Canvas& canvas) {
  std::vector<TextLine> lines;
  lines.emplace_back(fmt::format("PROGRAMS of knp, measured for {}", DurationText(duration)), Style::kTitle);
  if (costs.empty()) lines.emplace_back("  none is loaded: start `knp monitor` first, then measure", Style::kWarning);
  const char* ellipsis = GlyphsOf(canvas).ellipsis;
  const auto row = [&](const std::string& id, const std::string& name, const std::string& runs, const std::string& cost,
                       const std::string& where, Style style) {
    TextLine line("  " + Cell(id, 6, Align::kRight, ellipsis) + "  " + Cell(name, 16, Align::kLeft, ellipsis) +
                      Cell(runs, 15, Align::kRight, ellipsis) + Cell(cost, 10, Align::kRight, ellipsis) + "  " + where,
                  style);
    lines.push_back(std::move(line.CutTo(canvas.width, ellipsis)));
  };
  if (!costs.empty()) row("id", "name", "runs", "ns a run", "where", Style::kDim);
  for (const ProgramCost& cost : costs)
    row(std::to_string(cost.id), Printable(cost.name, canvas.utf8), Grouped(cost.runs),
        cost.runs == 0 ? "-" : fmt::format("{:.1f}", cost.ns_per_run), Printable(cost.where, canvas.utf8),
        Style::kPlain);
  return lines;
}

std::string DiagnosisJson(const Diagnosis& diagnosis, const std::vector<HostPiece>& host) {
  Json capabilities = Json::array(), features = Json::array();
  for (const CapabilityReport& capability : diagnosis.capabilities)
    capabilities.push_back(
        Json{{"name", capability.name}, {"held", capability.held}, {"needed_for", capability.needed_for}});
  for (const FeatureReport& feature : diagnosis.features) {
    Json json{{"name", feature.name},
              {"available", AnswerName(feature.available)},
              {"required", feature.required},
              {"disabled", feature.disabled},
              {"degraded", feature.degraded}};
    if (!feature.since.empty()) json["since"] = feature.since;
    if (!feature.without_it.empty()) json["without_it"] = feature.without_it;
    if (!feature.detail.empty()) json["detail"] = feature.detail;
    features.push_back(std::move(json));
  }
  Json json{{"kind", "diagnosis"},
            {"kernel", diagnosis.kernel},
            {"machine", diagnosis.machine},
            {"possible_cpus", diagnosis.possible_cpus},
            {"can_run", diagnosis.can_run}};
  if (!diagnosis.problem.empty()) json["problem"] = diagnosis.problem;
  json["capabilities"] = std::move(capabilities);
  json["features"] = std::move(features);
  for (const HostPiece& piece : host) {
    Json one{{"name", piece.name}, {"on", piece.on}};
    if (!piece.how.empty()) one["how"] = piece.how;
    if (!piece.why.empty()) one["why"] = piece.why;
    json["host"].push_back(std::move(one));
  }
  return Line(json);
}

std::string CostsJson(const std::vector<ProgramCost>& costs) {
  std::string lines;
  for (const ProgramCost& cost : costs) {
    Json json{{"kind", "program"}, {"name", cost.name}, {"id", cost.id}, {"runs", cost.runs}};
    if (cost.runs > 0) json["ns_per_run"] = cost.ns_per_run;
    if (!cost.where.empty()) json["where"] = cost.where;
    lines += Line(json);
  }
  return lines;
}

ExitStatus ExitStatusOf(const Diagnosis& diagnosis) {
  if (diagnosis.can_run) return kExitDone;
  if (std::any_of(diagnosis.features.begin(), diagnosis.features.end(), Refused)) return kExitKernel;
  if (std::any_of(diagnosis.capabilities.begin(), diagnosis.capabilities.end(), LacksNeeded)) return kExitPermission;
  if (!HasPlaceToAttach(diagnosis)) return kExitKernel;
  return kExitUsage;  // kernel and rights would do: the list of features to do without is wrong
}

}  // namespace knp::cli
