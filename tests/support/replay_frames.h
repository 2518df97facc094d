// Frames that no one has thought of: valid ones of many kinds, some of them damaged, some cut by a snaplen, all from a seed.
#ifndef KNP_TESTS_SUPPORT_REPLAY_FRAMES_H_
#define KNP_TESTS_SUPPORT_REPLAY_FRAMES_H_

#include <cstdint>
#include <random>
#include <vector>

#include "src/datapath/replay_engine.h"
#include "tests/support/packet_bytes.h"

namespace knp::test {

struct OwnedFrame {
  testing::Bytes bytes;
  datapath::ReplayFrame frame;  // without its data
  datapath::ReplayFrame View() const {
    datapath::ReplayFrame view = frame;
    view.data = bytes;
    return view;
  }
};

// `interfaces` must have been added.
std::vector<OwnedFrame> RandomFrames(std::uint32_t seed, std::size_t count, std::uint32_t interfaces);

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_REPLAY_FRAMES_H_
