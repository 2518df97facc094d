// See config.h. The only file that knows yaml-cpp; its exceptions end here.
#include "src/agent/config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "src/agent/config_keys.h"
#include "src/cli/nearest_match.h"
#include "src/cli/settings.h"

namespace knp::agent {
namespace {

constexpr std::size_t kMostFileBytes = std::size_t{1} << 20;  // a ConfigMap holds no more
constexpr int kDeepest = 16;

// Applies the leaves of a tree.
class TreeReader {
 public:
  TreeReader(const std::string& path, AgentConfig* config) : path_(path), config_(config) {}

  absl::Status Read(const YAML::Node& node, const std::string& key, int depth) {
    if (depth > kDeepest) return Error(node, fmt::format("{}: nested too deeply", key));
    switch (node.Type()) {
      case YAML::NodeType::Map: return ReadMap(node, key, depth);
      case YAML::NodeType::Sequence: return ReadList(node, key);
      case YAML::NodeType::Scalar: return Store(node, key, {node.Scalar()}, false);
      default:
        // "detectors:" with nothing below it is a heading.
        return key.empty() || IsPrefixOfKeys(key) ? absl::OkStatus() : Store(node, key, {""}, false);
    }
  }

 private:
  absl::Status ReadMap(const YAML::Node& node, const std::string& key, int depth) {
    if (!key.empty() && !IsPrefixOfKeys(key)) return Error(node, UnknownKey(key));
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return Error(entry.first, fmt::format("{}: a key must be a word", key));
      const std::string& name = entry.first.Scalar();
      const std::string inner = key.empty() ? name : key + "." + name;
      if (!IsPrefixOfKeys(inner) && !IsKey(inner)) return Error(entry.first, UnknownKey(inner));
      if (absl::Status status = Read(entry.second, inner, depth + 1); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ReadList(const YAML::Node& node, const std::string& key) {
    std::vector<std::string> items;
    for (const auto& item : node) {
      if (!item.IsScalar()) return Error(item, fmt::format("{}: a list of plain values is expected", key));
      items.push_back(item.Scalar());
    }
    return Store(node, key, items, true);
  }

  absl::Status Store(const YAML::Node& node, const std::string& key, const std::vector<std::string>& items, bool list) {
    if (key.empty()) return Error(node, "the file must be a map of settings, such as `interfaces: {include: [eth*]}`");
    if (absl::Status status = StoreValue(key, items, list, config_); !status.ok())
      return Error(node, std::string(status.message()));
    return absl::OkStatus();
  }

  absl::Status Error(const YAML::Node& node, const std::string& what) const {
    const YAML::Mark mark = node.Mark();
    if (mark.is_null()) return absl::InvalidArgumentError(fmt::format("{}: {}", path_, what));
    return absl::InvalidArgumentError(fmt::format("{}:{}: {}", path_, mark.line + 1, what));
  }

  const std::string& path_;
  AgentConfig* const config_;
};

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int error = errno;
    const std::string what = fmt::format("cannot read {}: {}", path, std::strerror(error));
    if (error == ENOENT) return absl::NotFoundError(what);
    return error == EACCES ? absl::PermissionDeniedError(what) : absl::FailedPreconditionError(what);
  }
  std::string text(kMostFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return absl::FailedPreconditionError(fmt::format("cannot read {}", path));
  if (text.size() > kMostFileBytes)
    return absl::InvalidArgumentError(fmt::format("{} is larger than 1 MiB: this is no configuration file", path));
  return text;
}

}  // namespace

std::string EnvironmentName(const std::string& key) {
  std::string name = "KNP_";
  for (const char c : key) name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

absl::Status ApplyYaml(const std::string& text, const std::string& path, AgentConfig* config) {
  AgentConfig changed = *config;  // all of it or nothing
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1)
      return absl::InvalidArgumentError(
          fmt::format("{}: holds {} documents, where one is expected", path, documents.size()));
    if (!documents.empty())
      if (absl::Status status = TreeReader(path, &changed).Read(documents[0], "", 0); !status.ok()) return status;
  } catch (const YAML::ParserException& e) {
    return absl::InvalidArgumentError(fmt::format("{}:{}:{}: {}", path, e.mark.line + 1, e.mark.column + 1, e.msg));
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", path, e.what()));
  }
  *config = std::move(changed);
  return absl::OkStatus();
}

absl::Status ApplyAssignment(const std::string& assignment, AgentConfig* config) {
  const std::size_t equals = assignment.find('=');
  const std::string key = assignment.substr(0, equals);
  if (!IsKey(key)) return absl::InvalidArgumentError(UnknownKey(key));
  if (equals == std::string::npos)
    return absl::InvalidArgumentError(fmt::format("{} has no value: write {}=VALUE", key, key));
  return StoreValue(key, {assignment.substr(equals + 1)}, false, config);
}

absl::StatusOr<AgentConfig> LoadConfig(const ConfigSources& sources) {
  AgentConfig config;
  const std::string path = sources.path.empty() ? kConfigPath : sources.path;
  const auto text = ReadFile(path);
  if (text.ok()) {
    if (absl::Status status = ApplyYaml(*text, path, &config); !status.ok()) return status;
  } else if (!sources.path.empty() || !absl::IsNotFound(text.status())) {
    return text.status();
  }
  for (const std::string& key : ConfigKeys()) {
    const std::string name = EnvironmentName(key);
    const auto value = sources.environment ? sources.environment(name) : std::nullopt;
    if (!value) continue;
    if (absl::Status status = StoreValue(key, {*value}, false, &config); !status.ok())
      return absl::InvalidArgumentError(fmt::format("${}: {}", name, std::string(status.message())));
  }
  for (const std::string& assignment : sources.assignments)
    if (absl::Status status = ApplyAssignment(assignment, &config); !status.ok())
      return absl::InvalidArgumentError(fmt::format("--set: {}", std::string(status.message())));
  if (absl::Status status = CheckConfig(config); !status.ok())
    return absl::InvalidArgumentError(fmt::format("{}: {}", path, std::string(status.message())));
  return config;
}

}  // namespace knp::agent
