// The rtnetlink readers against a network namespace whose content is known, and the attribute parser against bytes that
// no kernel sends.
#include "src/datapath/netlink.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "src/datapath/netlink_socket.h"
#include "tests/support/netns_rig.h"
#include "tests/support/udp_stream.h"

namespace knp::datapath {
namespace {

using test::NetnsRig;
using test::Side;
using test::UdpStream;

Bytes AsBytes(const std::vector<std::uint8_t>& bytes) { return std::as_bytes(std::span(bytes)); }

std::vector<std::uint16_t> TypesIn(const std::vector<std::uint8_t>& bytes) {
  std::vector<std::uint16_t> types;
  Bytes rest = AsBytes(bytes);
  for (Attribute attribute; NextAttribute(&rest, &attribute);) types.push_back(attribute.type);
  return types;
}

TEST(AttributeTest, NextAttribute_WellFormed_TakesEachWithItsPadding) {
  const std::vector<std::uint8_t> bytes = {5, 0, 1, 0, 'x', 0, 0, 0, 4, 0, 2, 0, 6, 0, 3, 0x80, 7, 8};
  EXPECT_EQ(TypesIn(bytes), (std::vector<std::uint16_t>{1, 2, 3})) << "flags are not part of a type";
}

TEST(AttributeTest, NextAttribute_Malformed_Stops) {
  EXPECT_TRUE(TypesIn({}).empty());
  EXPECT_TRUE(TypesIn({5, 0, 1}).empty()) << "shorter than a header";
  EXPECT_TRUE(TypesIn({3, 0, 1, 0}).empty()) << "length below the header's: an endless loop";
  EXPECT_TRUE(TypesIn({0, 0, 1, 0, 0, 0, 0, 0}).empty());
  EXPECT_TRUE(TypesIn({9, 0, 1, 0, 1, 2, 3, 4}).empty()) << "reaches beyond the end";
  EXPECT_EQ(TypesIn({4, 0, 1, 0, 0xff, 0xff, 2, 0}), (std::vector<std::uint16_t>{1}));
}

TEST(AttributeTest, As_ShortPayload_FillsWithZeroes) {
  const std::vector<std::uint8_t> bytes = {6, 0, 1, 0, 0x34, 0x12};
  Bytes rest = AsBytes(bytes);
  Attribute attribute;
  ASSERT_TRUE(NextAttribute(&rest, &attribute));
  EXPECT_EQ(attribute.As<std::uint32_t>(), 0x1234u);
  EXPECT_TRUE(rest.empty());
}

TEST(AttributeTest, String_NotTerminated_EndsWithThePayload) {
  const std::vector<std::uint8_t> bytes = {7, 0, 1, 0, 'a', 'b', 'c'};
  Bytes rest = AsBytes(bytes);
  Attribute attribute;
  ASSERT_TRUE(NextAttribute(&rest, &attribute));
  EXPECT_EQ(attribute.String(), "abc");
}

class NetlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
  }

  template <typename F>
  std::invoke_result_t<F> In(F&& f) const {
    return rig_->RunIn(Side::kA, std::forward<F>(f));
  }
  int Request(NetlinkRequest& request) const {
    return In([&] { return NetlinkSocket::Open()->Transact(request); });
  }

  int AddDefaultRoute(std::uint8_t family, std::uint32_t ifindex, std::uint32_t metric,
                      std::uint32_t table = RT_TABLE_MAIN) const {
    rtmsg header{};
    header.rtm_family = family;
    header.rtm_table = static_cast<unsigned char>(table < 256 ? table : RT_TABLE_UNSPEC);
    header.rtm_protocol = RTPROT_STATIC;
    header.rtm_scope = RT_SCOPE_LINK;
    header.rtm_type = RTN_UNICAST;
    NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE, header);
    request.PutU32(RTA_OIF, ifindex).PutU32(RTA_PRIORITY, metric).PutU32(RTA_TABLE, table);
    return Request(request);
  }

  int ChangeVethPair(int type, int flags, const std::string& name) const {
    NetlinkRequest request(static_cast<std::uint16_t>(type), flags, ifinfomsg{});
    request.PutString(IFLA_IFNAME, name.c_str());
    const std::size_t info = request.BeginNest(IFLA_LINKINFO);
    request.PutString(IFLA_INFO_KIND, "veth");
    request.EndNest(info);
    return Request(request);
  }

  std::unique_ptr<NetnsRig> rig_;
};

TEST_F(NetlinkTest, GetLink_Veth_HasAllFields) {
  const auto link = In([&] { return GetLink(rig_->interface(Side::kA)); });
  ASSERT_TRUE(link.ok()) << link.status();
  EXPECT_EQ(link->name, "veth_a");
  EXPECT_EQ(link->ifindex, rig_->ifindex(Side::kA));
  EXPECT_EQ(link->kind, "veth");
  EXPECT_EQ(link->arp_type, ARPHRD_ETHER);
  EXPECT_TRUE(link->up);
  EXPECT_FALSE(link->loopback);
  EXPECT_EQ(link->xdp_program_id, 0u);
}

TEST_F(NetlinkTest, GetLink_AfterTraffic_CountsIt) {
  const auto read = [&] { return *In([&] { return GetLink(rig_->ifindex(Side::kA)); }); };
  const LinkInfo before = read();
  ASSERT_EQ(*UdpStream::SendAndCount(*rig_, 50), 50u);
  const LinkInfo after = read();
  EXPECT_EQ(after.tx_packets - before.tx_packets, 50u);
  EXPECT_EQ(after.tx_bytes - before.tx_bytes, 50u * (14 + 20 + 8 + 8));
  EXPECT_EQ(after.rx_packets, before.rx_packets) << "the rig is silent";
}

TEST_F(NetlinkTest, GetLink_Down_SaysSo) {
  ASSERT_TRUE(rig_->SetUp(Side::kA, false).ok());
  EXPECT_FALSE(In([&] { return GetLink(rig_->ifindex(Side::kA)); })->up);
}

TEST_F(NetlinkTest, GetLink_Unknown_NotFoundByNameOrIndex) {
  for (const std::string& name : {std::string("nope0"), std::string(), std::string(40, 'x'), std::string(300, 'x')}) {
    const auto link = In([&] { return GetLink(name); });
    EXPECT_TRUE(absl::IsNotFound(link.status())) << link.status();
  }
  for (std::uint32_t ifindex : {0u, 4711u, 0xffffffffu}) {
    const auto link = In([&] { return GetLink(ifindex); });
    EXPECT_TRUE(absl::IsNotFound(link.status())) << ifindex << ": " << link.status();
  }
  EXPECT_TRUE(absl::IsNotFound(GetLink("veth_a").status())) << "it is in another namespace";
}

TEST_F(NetlinkTest, GetLink_LongAlternativeName_Found) {
  const std::string alternative = "an-alternative-name-of-thirty-two";
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(rig_->ifindex(Side::kA));
  NetlinkRequest request(RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND, header);
  const std::size_t list = request.BeginNest(IFLA_PROP_LIST);
  request.PutString(IFLA_ALT_IFNAME, alternative.c_str());
  request.EndNest(list);
  const int added = Request(request);
  if (added == -EOPNOTSUPP) GTEST_SKIP() << "this kernel has no alternative names";
  ASSERT_EQ(added, 0);
  const auto link = In([&] { return GetLink(alternative); });
  ASSERT_TRUE(link.ok()) << link.status();
  EXPECT_EQ(link->name, "veth_a");
}

TEST_F(NetlinkTest, ListLinks_SmallNamespace_InIndexOrder) {
  const auto links = In([] { return ListLinks(); });
  ASSERT_TRUE(links.ok()) << links.status();
  ASSERT_GE(links->size(), 2u);
  EXPECT_EQ((*links)[0].name, "lo");
  EXPECT_TRUE((*links)[0].loopback);
  EXPECT_EQ(links->back().name, "veth_a");
}

// 80 interfaces fill several messages of a dump; what changes meanwhile makes the kernel flag it as interrupted.
TEST_F(NetlinkTest, ListLinks_ManyThatChangeMeanwhile_EachOnce) {
  constexpr std::size_t kPairs = 40;
  for (std::size_t i = 0; i < kPairs; ++i) {
    ASSERT_EQ(ChangeVethPair(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "pair" + std::to_string(i)), 0);
  }
  std::atomic<bool> stop = false;
  std::thread churn([&] {
    while (!stop) {
      ChangeVethPair(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "churn");
      ChangeVethPair(RTM_DELLINK, 0, "churn");
    }
  });
  for (int i = 0; i < 30; ++i) {
    const auto links = In([] { return ListLinks(); });
    if (!links.ok()) {
      EXPECT_TRUE(absl::IsUnavailable(links.status())) << links.status();
      continue;
    }
    std::set<std::uint32_t> indices;
    for (const LinkInfo& link : *links) EXPECT_TRUE(indices.insert(link.ifindex).second) << link.name << " twice";
    EXPECT_GE(indices.size(), 2 * kPairs + 2);
  }
  stop = true;
  churn.join();
  const auto links = In([] { return ListLinks(); });
  ASSERT_TRUE(links.ok()) << links.status();
  EXPECT_GE(links->size(), 2 * kPairs + 2);
}

TEST_F(NetlinkTest, DefaultRouteInterface_NoRoute_NotFound) {
  const auto name = In([] { return DefaultRouteInterface(); });
  EXPECT_TRUE(absl::IsNotFound(name.status())) << name.status();
}

TEST_F(NetlinkTest, DefaultRouteInterface_OnlyIpv6_TakesIt) {
  ASSERT_EQ(AddDefaultRoute(AF_INET6, rig_->ifindex(Side::kA), 100), 0);
  EXPECT_EQ(*In([] { return DefaultRouteInterface(); }), "veth_a");
}

TEST_F(NetlinkTest, DefaultRouteInterface_Several_LowestMetricOfIpv4InTheMainTable) {
  ASSERT_EQ(ChangeVethPair(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "second"), 0);
  const auto second = In([] { return GetLink("second"); });
  ASSERT_TRUE(second.ok());
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(second->ifindex);
  header.ifi_flags = header.ifi_change = IFF_UP;
  NetlinkRequest up(RTM_NEWLINK, 0, header);
  ASSERT_EQ(Request(up), 0);

  ASSERT_EQ(AddDefaultRoute(AF_INET6, second->ifindex, 1), 0);
  ASSERT_EQ(AddDefaultRoute(AF_INET, second->ifindex, 5, 1000), 0) << "a VPN's own table";
  ASSERT_EQ(AddDefaultRoute(AF_INET, second->ifindex, 200), 0);
  EXPECT_EQ(*In([] { return DefaultRouteInterface(); }), "second");
  ASSERT_EQ(AddDefaultRoute(AF_INET, rig_->ifindex(Side::kA), 100), 0);
  EXPECT_EQ(*In([] { return DefaultRouteInterface(); }), "veth_a");
}

TEST_F(NetlinkTest, DefaultRouteInterface_Multipath_TakesTheFirstHop) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_type = RTN_UNICAST;
  struct Hop {
    rtnexthop hop;
    rtattr attribute;
    in_addr gateway;
  };
  static_assert(sizeof(Hop) == 16);
  Hop hops[2]{};
  for (int i = 0; i < 2; ++i) {
    hops[i].hop.rtnh_len = sizeof(Hop);
    hops[i].hop.rtnh_ifindex = static_cast<int>(rig_->ifindex(Side::kA));
    hops[i].attribute = {sizeof(rtattr) + sizeof(in_addr), RTA_GATEWAY};
    hops[i].gateway.s_addr = htonl(0x0ac80002u + static_cast<std::uint32_t>(i));  // 10.200.0.2 and .3
  }
  NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE, header);
  request.Put(RTA_MULTIPATH, hops, sizeof(hops));
  const int error = Request(request);
  if (error == -EOPNOTSUPP || error == -EINVAL) GTEST_SKIP() << "this kernel has no multipath routing";
  ASSERT_EQ(error, 0);
  EXPECT_EQ(*In([] { return DefaultRouteInterface(); }), "veth_a");
}

TEST_F(NetlinkTest, ListFilters_NoQdiscOrNoInterface_Empty) {
  const std::uint32_t parent = ClsactParent(Direction::kIngress);
  for (std::uint32_t ifindex : {rig_->ifindex(Side::kA), 4711u}) {
    const auto filters = In([&] { return ListFilters(ifindex, parent); });
    ASSERT_TRUE(filters.ok()) << filters.status();
    EXPECT_TRUE(filters->empty());
    EXPECT_FALSE(*In([&] { return HasClsact(ifindex); }));
  }
}

TEST_F(NetlinkTest, Execute_KernelRefuses_SaysWhatAndWhy) {
  const absl::Status status = In([&] {
    NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
    request.PutString(IFLA_IFNAME, "veth_a");
    const std::size_t info = request.BeginNest(IFLA_LINKINFO);
    request.PutString(IFLA_INFO_KIND, "nonsense");
    request.EndNest(info);
    return NetlinkSocket::Open()->Execute(request, "cannot create veth_a");
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(std::string(status.message()).rfind("cannot create veth_a", 0), 0u) << status;
}

TEST_F(NetlinkTest, Transact_RequestTooLong_FailsWithoutSending) {
  const std::string long_text(2000, 'x');
  NetlinkRequest request(RTM_GETLINK, 0, ifinfomsg{});
  request.PutString(IFLA_IFNAME, long_text.c_str());
  EXPECT_EQ(Request(request), -EMSGSIZE);
}

}  // namespace
}  // namespace knp::datapath
