// A frame of a capture as the engine wants it: Ethernet, or IP alone with a count of what stood before it. Used by
// replay_run.cc.
#ifndef KNP_REPLAY_ENGINE_FRAME_H_
#define KNP_REPLAY_ENGINE_FRAME_H_

#include <optional>

#include "src/datapath/replay_engine.h"
#include "src/replay/capture_reader.h"

namespace knp::replay {

// Everything but the interface. Nullopt: a link type that nobody can read. The data is the frame's own, or constant.
std::optional<datapath::ReplayFrame> MakeEngineFrame(const CapturedFrame& frame);

}  // namespace knp::replay

#endif  // KNP_REPLAY_ENGINE_FRAME_H_
