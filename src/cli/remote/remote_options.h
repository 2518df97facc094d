// The options of the commands that ask an agent, and of `knp config`. Part of the command line.
#ifndef KNP_CLI_REMOTE_REMOTE_OPTIONS_H_
#define KNP_CLI_REMOTE_REMOTE_OPTIONS_H_

#include <array>
#include <optional>
#include <string>

#include "src/cli/option_values.h"
#include "src/cli/remote/remote_command.h"

namespace knp::cli {

class RemoteOptions {
 public:
  // Both must live as long as this; once.
  void Add(CLI::App* app, Values& values);
  // What was parsed; null and nullopt: another command.
  CLI::App* chosen() const;
  std::optional<RemoteCommand> command() const;
  std::optional<std::string> config_path() const;

 private:
  struct One {
    CLI::App* app = nullptr;
    RemoteCommand command;
  };
  CLI::App* AddOne(CLI::App* app, RemoteCommand::What what, const char* name, const char* help);

  std::array<One, 5> commands_;
  CLI::App* validate_ = nullptr;
  std::string config_path_;
};

}  // namespace knp::cli

#endif  // KNP_CLI_REMOTE_REMOTE_OPTIONS_H_
