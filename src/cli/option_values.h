// Options of the command line whose values are checked as they are read: what the files that declare commands (command_line.cc,
// remote/remote_options.cc) have in common. Only these know CLI11.
#ifndef KNP_CLI_OPTION_VALUES_H_
#define KNP_CLI_OPTION_VALUES_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <utility>

namespace knp::cli {

// Collects the first error of a value; CLI11 would want an exception instead.
class Values {
 public:
  // Adds an option whose text goes through `parse`, and then to `take`, which may refuse it.
  template <typename Parse, typename Take>
  CLI::Option* Add(CLI::App* app, const std::string& name, const std::string& description, const std::string& type,
                   Parse parse, Take take) {
    return app
        ->add_option_function<std::string>(
            name,
            [this, name, parse, take](const std::string& text) {
              auto value = parse(text);
              absl::Status status = value.ok() ? take(*value) : value.status();
              if (!status.ok() && error_.ok())
                error_ = absl::InvalidArgumentError(fmt::format("{}: {}", name, std::string(status.message())));
            },
            description)
        ->type_name(type);
  }
  const absl::Status& error() const { return error_; }

 private:
  absl::Status error_;
};

// Stores a duration or number that lies between `least` and `most`.
template <typename T, typename Value>
std::function<absl::Status(const Value&)> StoreWithin(T& target, Value least, Value most, std::string range) {
  return [&target, least, most, range = std::move(range)](const Value& value) {
    if (value < least || value > most) return absl::InvalidArgumentError("must be " + range);
    target = static_cast<T>(value);
    return absl::OkStatus();
  };
}

inline void AddOutputFlag(CLI::App* app, bool& json) {
  app->add_option_function<std::string>(
         "-o,--output", [&json](const std::string& format) { json = format == "json"; },
         "table for people (the default), json for programs: one object a line")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("table|json");
}

inline void AddColourFlag(CLI::App* app, bool& no_colour) {
  app->add_flag("--no-color,--no-colour", no_colour, "No colours; so does the environment's NO_COLOR");
}

}  // namespace knp::cli

#endif  // KNP_CLI_OPTION_VALUES_H_
