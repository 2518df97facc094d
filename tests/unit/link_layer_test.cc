// Where the network header stands, for every link type that is understood.
#include "src/replay/link_layer.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace knp::replay {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Case {
  const char* name;
  std::uint32_t link_type;
  Bytes frame;
  std::uint32_t length;
  std::uint16_t ether_type;
  std::optional<Direction> direction = std::nullopt;
};

const Case kCases[] = {
    {"CookedOut", 113, {0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0, 0x45}, 16, 0x0800, Direction::kEgress},
    {"CookedIn", 113, {0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x86, 0xdd}, 16, 0x86dd, Direction::kIngress},
    {"CookedArp", 113, {0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 6}, 16, 0x0806, Direction::kIngress},
    {"CookedCut", 113, {0, 4, 0, 1}, 16, 0, Direction::kEgress},
    {"CookedNothing", 113, {}, 16, 0},
    {"Cooked2Out",
     276,
     {0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0},
     20,
     0x86dd,
     Direction::kEgress},
    {"Cooked2In", 276, {8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0}, 20, 0x0800, Direction::kIngress},
    {"Raw4", 101, {0x45}, 0, 0x0800},
    {"Raw6", 12, {0x60}, 0, 0x86dd},
    {"Raw14", 14, {0x46}, 0, 0x0800},
    {"RawOther", 101, {0x10}, 0, 0},
    {"RawNothing", 101, {}, 0, 0},
    {"Ipv4", 228, {0x60}, 0, 0x0800},
    {"Ipv6", 229, {0x45}, 0, 0x86dd},
    {"NullLittle", 0, {2, 0, 0, 0, 0x45}, 4, 0x0800},
    {"NullBig", 0, {0, 0, 0, 2, 0x45}, 4, 0x0800},
    {"NullDarwin6", 0, {30, 0, 0, 0}, 4, 0x86dd},
    {"Loop6", 108, {0, 0, 0, 24}, 4, 0x86dd},
    {"NullOther", 0, {0, 1, 0, 2}, 4, 0},
    {"NullCut", 0, {2, 0}, 4, 0},
    {"Ppp", 9, {0xff, 3, 0, 0x21, 0x45}, 4, 0x0800},
    {"PppBare", 9, {0, 0x57, 0x60}, 2, 0x86dd},
    {"PppShortened", 9, {0x21, 0x45}, 1, 0x0800},
    {"PppLcp", 9, {0xff, 3, 0xc0, 0x21}, 4, 0},
    {"PppCut", 9, {0xff, 3}, 4, 0},
    {"PppNothing", 9, {}, 2, 0},
    {"PppHdlc", 50, {0xff, 3, 0, 0x21, 0x45}, 4, 0x0800},
    {"CiscoInPpp9", 9, {0x0f, 0, 8, 0, 0x45}, 4, 0x0800},
    {"CiscoInPpp", 50, {0x0f, 0, 8, 0, 0x45}, 4, 0x0800},
    {"Cisco", 104, {0x8f, 0, 0x86, 0xdd}, 4, 0x86dd},
};

class LinkLayer : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Each, LinkLayer, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

TEST_P(LinkLayer, Header_Found) {
  const auto header = ParseLinkHeader(GetParam().link_type, GetParam().frame);
  ASSERT_TRUE(header.has_value());
  EXPECT_FALSE(header->ethernet);
  EXPECT_EQ(header->length, GetParam().length);
  EXPECT_EQ(header->ether_type, GetParam().ether_type);
  EXPECT_EQ(header->direction, GetParam().direction);
}

TEST(LinkLayerTypes, Ethernet_LeftToTheParser) {
  const auto header = ParseLinkHeader(1, {});
  ASSERT_TRUE(header.has_value());
  EXPECT_TRUE(header->ethernet);
}

TEST(LinkLayerTypes, Unknown_Nothing) {
  for (const std::uint32_t link_type : {105u, 127u, 147u, 65535u}) EXPECT_FALSE(ParseLinkHeader(link_type, {}));
  EXPECT_EQ(LinkTypeName(147), "147");
  EXPECT_EQ(LinkTypeName(127), "802.11 with radiotap header (127)");
}

}  // namespace
}  // namespace knp::replay
