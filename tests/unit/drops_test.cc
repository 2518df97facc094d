// Drops: what the kernel's type information and symbols say, where a packet was, whose drops are whose.
#include <bpf/btf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "src/datapath/kernel_drops.h"
#include "src/host/drops/drop_book.h"
#include "src/host/drops/drop_position.h"
#include "tests/support/expect_error.h"

namespace knp::host {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::uint64_t kStart = 1'700'000'000'000'000'000, kSecond = 1'000'000'000;

using Types = std::unique_ptr<btf, decltype(&btf__free)>;

// A kernel whose tracepoint has so many parameters of its own; -1: none.
Types KernelOf(int parameters, bool with_reasons = true) {
  Types types(btf__new_empty(), btf__free);
  const int number = btf__add_int(types.get(), "int", 4, BTF_INT_SIGNED);
  if (with_reasons) {
    btf__add_enum(types.get(), "skb_drop_reason", 4);
    btf__add_enum_value(types.get(), "SKB_NOT_DROPPED_YET", 0);
    btf__add_enum_value(types.get(), "SKB_CONSUMED", 1);
    btf__add_enum_value(types.get(), "SKB_DROP_REASON_NO_SOCKET", 3);
    btf__add_enum_value(types.get(), "SKB_DROP_REASON_MAX", 4);
    btf__add_enum_value(types.get(), "SKB_DROP_REASON_SUBSYS_MASK", 0xffff0000);
  }
  if (parameters < 0) return types;
  const int function = btf__add_func_proto(types.get(), 0);
  for (int i = 0; i <= parameters; i++) btf__add_func_param(types.get(), "", number);
  const int pointer = btf__add_ptr(types.get(), function);
  btf__add_typedef(types.get(), "btf_trace_kfree_skb", pointer);
  return types;
}

TEST(DropVocabularyTest, Parameters_DecideWhatIsThere) {
  EXPECT_ERROR(datapath::ReadDropVocabulary(*KernelOf(-1)).status(), IsUnimplemented, HasSubstr("skb:kfree_skb"));
  const auto without = datapath::ReadDropVocabulary(*KernelOf(2, false));
  ASSERT_TRUE(without.ok());
  EXPECT_FALSE(without->has_reason);
  EXPECT_EQ(without->NameOf(0), "");
  const auto with = datapath::ReadDropVocabulary(*KernelOf(3));
  ASSERT_TRUE(with.ok());
  EXPECT_TRUE(with->has_reason);
  EXPECT_FALSE(with->has_socket);
  EXPECT_TRUE(datapath::ReadDropVocabulary(*KernelOf(4))->has_socket);
}

TEST(DropVocabularyTest, Names_LosePrefix_AndThoseOfModulesAreNumbers) {
  const auto words = datapath::ReadDropVocabulary(*KernelOf(4));
  ASSERT_TRUE(words.ok());
  EXPECT_EQ(words->NameOf(3), "NO_SOCKET");
  EXPECT_EQ(words->NameOf(1), "SKB_CONSUMED");
  EXPECT_EQ(words->NameOf(4), "4") << "MAX is no reason";
  EXPECT_EQ(words->NameOf(2u << 16 | 7), "SUBSYS_2_7");
}

// As include/net/dropreason.h, net/openvswitch/drop.h and net/mac80211/drop.h make them.
TEST(ModuleReasonsTest, EnumerationsOfModules_NameTheirReasons) {
  const Types kernel = KernelOf(4);
  const Types module(btf__new_empty_split(kernel.get()), btf__free);
  btf__add_enum(module.get(), "ovs_drop_reason", 4);
  btf__add_enum_value(module.get(), "__OVS_DROP_REASON", 3 << 16);
  btf__add_enum_value(module.get(), "OVS_DROP_LAST_ACTION", 3 << 16 | 1);
  btf__add_enum_value(module.get(), "OVS_DROP_MAX", 3 << 16 | 2);
  btf__add_enum(module.get(), "mac80211_drop_reason", 4);
  btf__add_enum_value(module.get(), "RX_CONTINUE", 1);
  btf__add_enum_value(module.get(), "RX_DROP_U_MIC_FAIL", 1 << 16 | 1);
  btf__add_enum(module.get(), "other", 4);
  btf__add_enum_value(module.get(), "SOMETHING_ELSE", 3 << 16 | 7);
  std::map<std::uint32_t, std::string> reasons;
  datapath::AddModuleReasons(*module, btf__type_cnt(kernel.get()), &reasons);
  EXPECT_EQ(reasons, (std::map<std::uint32_t, std::string>{{1u << 16 | 1, "RX_DROP_U_MIC_FAIL"},
                                                           {3u << 16 | 1, "OVS_DROP_LAST_ACTION"}}));
  auto words = datapath::ReadDropVocabulary(*kernel);
  ASSERT_TRUE(words.ok());
  EXPECT_TRUE(words->LacksNameOf(3 << 16 | 1));
  EXPECT_FALSE(words->LacksNameOf(2)) << "the kernel itself has no name for it, and no module will";
  words->reasons.merge(reasons);
  EXPECT_FALSE(words->LacksNameOf(3 << 16 | 1));
  EXPECT_EQ(words->NameOf(3 << 16 | 1), "OVS_DROP_LAST_ACTION");
  EXPECT_EQ(words->NameOf(3 << 16 | 2), "SUBSYS_3_2");
}

TEST(ModuleReasonsTest, Directory_OfModules_IsReadWithItsBase) {
  const std::string directory = ::testing::TempDir() + "/knp_btf_" + std::to_string(getpid());
  std::filesystem::create_directory(directory);
  const auto write = [&](const char* name, const btf& types) {
    __u32 size = 0;
    const void* data = btf__raw_data(&types, &size);
    std::ofstream(directory + "/" + name, std::ios::binary).write(static_cast<const char*>(data), size);
  };
  const Types kernel = KernelOf(4);
  const Types module(btf__new_empty_split(kernel.get()), btf__free);
  btf__add_enum(module.get(), "ovs_drop_reason", 4);
  btf__add_enum_value(module.get(), "OVS_DROP_EXPLICIT", 3 << 16 | 5);
  write("vmlinux", *kernel);
  write("openvswitch", *module);
  std::ofstream(directory + "/broken") << "no BTF";
  EXPECT_EQ(datapath::ReadModuleReasons(directory),
            (std::map<std::uint32_t, std::string>{{3u << 16 | 5, "OVS_DROP_EXPLICIT"}}));
  std::filesystem::remove_all(directory);
  EXPECT_TRUE(datapath::ReadModuleReasons(directory).empty());
}

TEST(FunctionsAtTest, NearestSymbolBelow_WithoutWhatTheCompilerAppended) {
  std::istringstream symbols(
      "ffffffff81000300 T third\n"
      "ffffffff81000100 T first\n"
      "ffffffff81000200 t second.isra.0\n"
      "ffffffff81000250 D data\n"
      "ffffffffc0000000 t in_module\t[module]\n"
      "ffffffff81000200 T alias\n"
      "nonsense\n");
  const auto names = datapath::FunctionsAt(
      {0xffffffff81000001, 0xffffffff81000100, 0xffffffff81000260, 0xffffffff81000300, 0xffffffffc0000010}, symbols);
  EXPECT_EQ(names.at(0xffffffff81000001), "");
  EXPECT_EQ(names.at(0xffffffff81000100), "first");
  EXPECT_EQ(names.at(0xffffffff81000260), "second");
  EXPECT_EQ(names.at(0xffffffff81000300), "third");
  EXPECT_EQ(names.at(0xffffffffc0000010), "in_module");
}

TEST(FunctionsAtTest, HiddenAddresses_NameNothing) {
  std::istringstream symbols("0000000000000000 T first\n0000000000000000 T second\n");
  EXPECT_EQ(datapath::FunctionsAt({0xffffffff81000100}, symbols).at(0xffffffff81000100), "");
}

TEST(DropPositionTest, Rules) {
  constexpr auto kBehind = DropPosition::kBehindHook, kBefore = DropPosition::kBeforeHook,
                 kUnknown = DropPosition::kUnknown;
  struct Case {
    DropPlace place;
    DropPosition position;
  };
  const Case cases[] = {
      {{.reason = "XDP", .location = "do_xdp_generic", .here = true, .received = true}, kBefore},
      {{.reason = "XDP", .location = "do_xdp_generic", .received = true}, kUnknown},
      {{.reason = "", .location = "enqueue_to_backlog", .here = true}, kBefore},
      {{.reason = "NO_SOCKET", .location = "__udp4_lib_rcv", .here = true, .received = true}, kBehind},
      {{.reason = "NO_SOCKET", .location = "__udp4_lib_rcv", .received = true}, kUnknown},
      {{.reason = "NETFILTER_DROP", .location = "nf_hook_slow", .here = true, .local = true}, kBefore},
      {{.reason = "NETFILTER_DROP", .location = "nf_hook_slow", .local = true}, kBefore},
      {{.reason = "IP_OUTNOROUTES", .location = "__ip_queue_xmit", .here = true, .local = true}, kBefore},
      {{.reason = "NEIGH_FAILED", .location = "arp_error_report", .here = true, .local = true}, kBefore},
      {{.reason = "QDISC_DROP", .location = "__dev_queue_xmit", .here = true, .local = true}, kBehind},
      {{.reason = "QDISC_DROP", .location = "__dev_queue_xmit", .here = true}, kBehind},
      {{.reason = "NOT_SPECIFIED", .location = "veth_xmit", .here = true, .local = true}, kBehind},
      {{.reason = "TC_EGRESS", .location = "__dev_queue_xmit", .here = true, .local = true}, kBehind},
      {{.reason = "TC_EGRESS", .location = "__dev_queue_xmit", .local = true}, kUnknown},
      {{.reason = "PACKET_SOCK_ERROR", .location = "packet_rcv", .here = true, .received = true}, kUnknown},
      {{.reason = "QUEUE_PURGE", .location = "skb_queue_purge", .local = true}, kUnknown},
      {{.reason = "NOT_SPECIFIED", .location = "", .here = true}, kUnknown},
  };
  for (const Case& each : cases)
    EXPECT_EQ(PositionOf(each.place), each.position) << each.place.reason << " " << each.place.location;
}

datapath::DroppedFlow Dropped(unsigned port, std::uint64_t packets, bool back = false, std::uint32_t reason = 3) {
  datapath::DroppedFlow flow;
  flow.source = *ParseIpAddress("10.0.0.1");
  flow.destination = *ParseIpAddress("10.0.0.2");
  flow.sport = static_cast<std::uint16_t>(port);
  flow.dport = 53;
  if (back) std::swap(flow.source, flow.destination), std::swap(flow.sport, flow.dport);
  flow.protocol = 17;
  flow.site = {.location = 1, .reason = reason};
  flow.count = {packets, packets * 100};
  return flow;
}

FlowRecord Conversation(unsigned port, std::uint64_t start) {
  FlowRecord record;
  record.source = {.ip = *ParseIpAddress("10.0.0.1"), .port = static_cast<std::uint16_t>(port)};
  record.destination = {.ip = *ParseIpAddress("10.0.0.2"), .port = 53};
  record.protocol = 17;
  record.start_unix_ns = start;
  return record;
}

TEST(DropPositionTest, OrdinaryEnds_AreThoseOfConnectionsThatAreOver) {
  EXPECT_TRUE(host::IsOrdinaryEnd("NOT_SPECIFIED", "tcp_v4_rcv"));
  EXPECT_TRUE(host::IsOrdinaryEnd("NOT_SPECIFIED", "bpf_prog_test_run_skb"));
  EXPECT_FALSE(host::IsOrdinaryEnd("NO_SOCKET", "tcp_v4_rcv"));
  EXPECT_FALSE(host::IsOrdinaryEnd("NOT_SPECIFIED", "ip_rcv_core"));
  EXPECT_FALSE(host::IsOrdinaryEnd("", "tcp_v4_rcv")) << "before Linux 5.17 nobody can tell";
  EXPECT_TRUE(host::IsOrdinaryEnd("NO_SOCKET", "ping_rcv")) << "raw sockets had their copies";
  EXPECT_TRUE(host::IsOrdinaryEnd("NOT_SPECIFIED", "skb_release_data")) << "a part of a packet that was delivered";
}

TEST(DropBookTest, BothDirections_AreOneConversations_MostFirst) {
  DropBook book(10);
  book.Add(Dropped(1000, 2), kStart, kStart);
  book.Add(Dropped(1000, 3, true), kStart, kStart);
  book.Add(Dropped(1000, 7, true, 9), kStart, kStart);
  book.Add(Dropped(1001, 50), kStart, kStart);
  const auto sums = book.SumsOf(Conversation(1000, kStart));
  ASSERT_THAT(sums, SizeIs(2));
  EXPECT_EQ(sums[0].site.reason, 9u);
  EXPECT_EQ(sums[0].count.packets, 7u);
  EXPECT_EQ(sums[1].count, (Count{5, 500}));
  FlowRecord folded = Conversation(1000, kStart);
  folded.folded = true;
  EXPECT_THAT(book.SumsOf(folded), SizeIs(0));
}

TEST(DropBookTest, BehindATranslation_IsTheConversationsToo) {
  DropBook book(10);
  book.Add(Dropped(1000, 2), kStart, kStart);
  FlowRecord record = Conversation(4000, kStart);
  EXPECT_THAT(book.SumsOf(record), SizeIs(0));
  const FlowRecord behind = Conversation(1000, kStart);
  record.translated = Translation{behind.source, behind.destination};
  ASSERT_THAT(book.SumsOf(record), SizeIs(1));
  EXPECT_EQ(book.SumsOf(record)[0].count.packets, 2u);
  book.Add(Dropped(4000, 3), kStart, kStart);
  ASSERT_THAT(book.SumsOf(record), SizeIs(1)) << "one place";
  EXPECT_EQ(book.SumsOf(record)[0].count.packets, 5u);
  FlowRecord same = behind;
  same.translated = Translation{behind.source, behind.destination};
  EXPECT_EQ(book.SumsOf(same)[0].count.packets, 2u) << "not twice";
}

TEST(DropBookTest, Icmp_EachKindIsItsOwn_AndAReplyItsRequests) {
  DropBook book(10);
  datapath::DroppedFlow reply = Dropped(8 << 8, 4);
  reply.protocol = 1;
  reply.dport = reply.sport;
  book.Add(reply, kStart, kStart);
  FlowRecord record = Conversation(0, kStart);
  record.protocol = 1;
  record.source.port = record.destination.port = 0;
  for (const auto& [type, packets] : {std::pair(8, 4), std::pair(0, 4), std::pair(3, 0)}) {
    record.icmp.emplace(static_cast<std::uint8_t>(type), std::uint8_t{0});
    const auto sums = book.SumsOf(record);
    EXPECT_EQ(sums.empty() ? 0 : static_cast<int>(sums[0].count.packets), packets) << type;
  }
}

TEST(DropBookTest, Largest_WithTheirEnds) {
  DropBook book(10);
  book.Add(Dropped(1, 1), kStart, kStart);
  book.Add(Dropped(2, 9), kStart, kStart + kSecond);
  book.Add(Dropped(3, 5), kStart, kStart);
  const auto largest = book.Largest(2);
  ASSERT_THAT(largest, SizeIs(2));
  EXPECT_EQ(largest[0].source, Conversation(2, kStart).source);
  EXPECT_EQ(largest[0].end_unix_ns, kStart + kSecond);
  EXPECT_EQ(book.SumsOf(largest[1]).at(0).count.packets, 5u);
}

TEST(DropBookTest, OlderConversationOnTheSamePorts_LendsNothing) {
  DropBook book(10);
  book.Add(Dropped(1000, 5), kStart, kStart + kSecond);
  EXPECT_THAT(book.SumsOf(Conversation(1000, kStart + 60 * kSecond)), SizeIs(0));
  book.Add(Dropped(1000, 2), kStart + 61 * kSecond, kStart + 61 * kSecond);
  EXPECT_EQ(book.SumsOf(Conversation(1000, kStart + 60 * kSecond)).at(0).count.packets, 2u);
  EXPECT_EQ(book.SumsOf(Conversation(1000, kStart)).at(0).count.packets, 7u) << "a long one has both";
}

TEST(DropBookTest, ManyRuns_AreMergedFromTheOldest_AndLoseNothing) {
  DropBook book(10);
  for (unsigned i = 0; i < 20; i++) book.Add(Dropped(1000, 1), kStart + 10 * kSecond * i, kStart + 10 * kSecond * i);
  EXPECT_EQ(book.SumsOf(Conversation(1000, kStart)).at(0).count.packets, 20u);
  EXPECT_EQ(book.SumsOf(Conversation(1000, kStart + 190 * kSecond)).at(0).count.packets, 1u);
}

TEST(DropBookTest, Full_ForgetsTheOneDroppedLongestAgo) {
  DropBook book(2);
  book.Add(Dropped(1, 1), kStart, kStart);
  book.Add(Dropped(2, 1), kStart, kStart);
  book.Add(Dropped(1, 1), kStart, kStart);
  book.Add(Dropped(3, 1), kStart, kStart);
  EXPECT_EQ(book.forgotten(), 1u);
  EXPECT_EQ(book.size(), 2u);
  EXPECT_THAT(book.SumsOf(Conversation(2, kStart)), SizeIs(0));
  EXPECT_EQ(book.SumsOf(Conversation(1, kStart)).at(0).count.packets, 2u);
  book.Age(kStart + 1);
  EXPECT_EQ(book.size(), 0u);
}

}  // namespace
}  // namespace knp::host
