// Runs what RemoteCommand asks for: talks to the agent's socket, prints tables or JSON lines.
#ifndef KNP_CLI_REMOTE_REMOTE_H_
#define KNP_CLI_REMOTE_REMOTE_H_

#include "src/cli/exit_status.h"
#include "src/cli/remote/remote_command.h"
#include "src/cli/signal_watch.h"

namespace knp::cli {

ExitStatus RunRemote(const RemoteCommand& command, SignalWatch& signals);

}  // namespace knp::cli

#endif  // KNP_CLI_REMOTE_REMOTE_H_
