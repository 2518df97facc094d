// The ledger on every kind of device and frame: tagged, odd and broken frames, headers outside the linear area, GRO,
// loopback, devices without an Ethernet header.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/datapath/reasons.h"
#include "tests/support/kernel_features.h"
#include "tests/support/ledger_test.h"
#include "tests/support/native_parse.h"
#include "tests/support/parse_cases.h"
#include "tests/support/program_runner.h"
#include "tests/support/scale.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
using std::chrono::milliseconds;

class LedgerDeviceTest : public LedgerTest {
 protected:
  FrameSender OpenSender(Side side, bool super_packets = false) {
    auto sender = rig_->RunIn(side, [&] { return FrameSender::Open(rig_->interface(side), super_packets); });
    EXPECT_TRUE(sender.ok()) << sender.status();
    return *std::move(sender);
  }
};

// ---- frames --------------------------------------------------------------------------------------------------------

// A monitor that nobody turns: each question reads all that there is, so that one frame at a time can be followed.
class OneByOne {
 public:
  OneByOne(const NetnsRig& rig, Side side) : interface_(rig.interface(side)) {
    MonitorOptions options;
    options.table_budget_bytes = TinyTableBytes();
    auto monitor = rig.RunIn(side, [&] { return NetworkMonitor::Create(options); });
    EXPECT_TRUE(monitor.ok()) << monitor.status();
    monitor_ = *std::move(monitor);
    EXPECT_TRUE(monitor_->AttachToInterface(interface_).ok());
  }
  struct Change {
    TrafficCount rx, tx;
    std::map<std::string, Count> places;  // "TCP", …, or the remainder's reason
  };
  Change Since() {
    const auto stats = monitor_->GetPacketStats();
    EXPECT_TRUE(stats.ok()) << stats.status();
    const InterfaceStats now = StatsOf(*stats, interface_);
    Change change;
    static_cast<Count&>(change.rx) = now.rx - last_.rx;
    static_cast<Count&>(change.tx) = now.tx - last_.tx;
    std::map<std::string, Count> places = now.protocols;
    places.insert(now.ledger.remainder.begin(), now.ledger.remainder.end());
    for (const auto& [name, count] : places) {
      const Count difference = count - last_places_[name];
      if (difference.packets != 0 || difference.bytes != 0) change.places[name] = difference;
    }
    last_ = now;
    last_places_ = places;
    return change;
  }

 private:
  std::string interface_;
  std::unique_ptr<NetworkMonitor> monitor_;
  InterfaceStats last_;
  std::map<std::string, Count> last_places_;
};

std::string PlaceOf(const NativeParse& parsed) {
  return parsed.reason == KNP_OK ? ProtocolName(parsed.packet.protocol)
                                 : datapath::ReasonName(static_cast<unsigned>(parsed.reason));
}

// As the receiving end's hook gets a frame: the kernel has taken the outer tag off. False: it drops the frame before.
bool Untag(Bytes* frame, FrameContext* context) {
  const unsigned type = unsigned{(*frame)[12]} << 8 | (*frame)[13];
  if (type != 0x8100 && type != 0x88a8) return true;
  if (frame->size() < 20) return false;
  context->offloaded_vlan = ((*frame)[14] << 8 | (*frame)[15]) & 0xfff;
  frame->erase(frame->begin() + 12, frame->begin() + 16);
  return true;
}

void ExpectPlace(const std::string& name, const OneByOne::Change& change, const Count& seen,
                 const NativeParse& expected) {
  const Count size{expected.packet.packets, expected.packet.bytes};
  EXPECT_TRUE(seen == size) << name << ": " << seen.packets << " packets " << seen.bytes << " bytes, not "
                            << size.packets << " and " << size.bytes;
  ASSERT_EQ(change.places.size(), 1u) << name << ": not in exactly one place";
  EXPECT_EQ(change.places.begin()->first, PlaceOf(expected)) << name;
  EXPECT_TRUE(change.places.begin()->second == size) << name;
}

// Every case of the parser as a real frame on both hooks, and again blown up beyond a page: then nothing but the Ethernet
// header is in the linear area.
TEST_F(LedgerDeviceTest, EveryParserCase_OnTheWire_IsWhereTheParserSays) {
  NetnsRig::Options rig_options;
  rig_options.mtu = 20000;
  MakeRig(rig_options);
  OneByOne a(*rig_, Side::kA), b(*rig_, Side::kB);
  FrameSender sender = OpenSender(Side::kA);
  int sent = 0;
  for (const ParseCase& c : ParseCases()) {
    if (c.context.l2_len == 0 || c.context.offloaded_vlan >= 0 || c.context.gso_size != 0) continue;
    for (std::size_t size : {c.frame.size(), std::size_t{5000}}) {
      Bytes frame = c.frame;
      if (size > frame.size()) frame.resize(size);  // padding, behind the IP packet
      const std::string name = c.name + (size == c.frame.size() ? "" : ", not linear");
      const absl::Status status = sender.Send(frame);
      if (frame.size() < 14) {
        EXPECT_TRUE(absl::IsInvalidArgument(status)) << name << ": " << status;
        continue;
      }
      ASSERT_TRUE(status.ok()) << name << ": " << status;
      const OneByOne::Change at_a = a.Since();
      ExpectPlace(name + ", egress", at_a, at_a.tx, ParseNatively(frame, {}));
      FrameContext context;
      const OneByOne::Change at_b = b.Since();
      if (Untag(&frame, &context))
        ExpectPlace(name + ", ingress", at_b, at_b.rx, ParseNatively(frame, context));
      else
        EXPECT_TRUE(at_b.places.empty()) << name;
      sent++;
    }
  }
  EXPECT_GE(sent, 180);
}

// ---- super-packets -------------------------------------------------------------------------------------------------

// Cut behind the egress hook: the device's count of what came out is the measure.
class LedgerSuperPacketTest : public LedgerDeviceTest {
 protected:
  struct Case {
    const char* name;
    Bytes frame;
    SuperPacket super;
  };
  using Kind = SuperPacket::Kind;

  void SetUp() override {
    if (!CountsSegments()) GTEST_SKIP() << "super-packets count once here: no programs, jiffies or gso";
    MakeRig();
  }
  void ExpectAsTheDevice(const std::vector<Case>& cases) {
    Ethtool(Side::kA, "tx-udp-segmentation off");
    OneByOne a(*rig_, Side::kA), b(*rig_, Side::kB);
    FrameSender sender = OpenSender(Side::kA, true);
    const auto device = [&] {
      return *rig_->RunIn(Side::kA, [&] { return datapath::GetLink(rig_->interface(Side::kA)); });
    };
    for (const Case& c : cases) {
      const datapath::LinkInfo before = device();
      const absl::Status status = sender.Send(c.frame, c.super);
      ASSERT_TRUE(status.ok()) << c.name << ": " << status;
      const datapath::LinkInfo after = device();
      const OneByOne::Change at_a = a.Since(), at_b = b.Since();
      EXPECT_GE(after.tx_packets - before.tx_packets, 7u) << c.name << ": was not cut";
      EXPECT_EQ(at_a.tx.packets, after.tx_packets - before.tx_packets) << c.name;
      EXPECT_EQ(at_a.tx.bytes, after.tx_bytes - before.tx_bytes) << c.name;
      EXPECT_EQ(at_b.rx.packets, at_a.tx.packets) << c.name << ": ingress";
      EXPECT_EQ(at_b.rx.bytes, at_a.tx.bytes) << c.name << ": ingress";
      EXPECT_EQ(at_a.places.size(), 1u) << c.name;
      EXPECT_EQ(at_a.places, at_b.places) << c.name;
    }
  }
};

TEST_F(LedgerSuperPacketTest, TcpOfEveryShape_CountsAsTheDeviceCountsItsSegments) {
  const Bytes tcp = Join({Tcp({.flags = 16, .data_offset = 8}), Fill(9000)});
  ExpectAsTheDevice({
      {"TCP", Join({Ethernet(0x0800), Ipv4({}, tcp)}), {Kind::kTcp4, 1448, 66, 34}},
      {"TCP, exactly", Join({Ethernet(0x0800), Ipv4({}, tcp)}), {Kind::kTcp4, 1000, 66, 34}},
      {"TCP, one byte over", Join({Ethernet(0x0800), Ipv4({}, tcp)}), {Kind::kTcp4, 999, 66, 34}},
      {"TCP, IP options", Join({Ethernet(0x0800), Ipv4({.ihl = 8}, tcp)}), {Kind::kTcp4, 1400, 78, 46}},
      {"TCP, tagged", Join({Ethernet(0x8100), VlanTag(7, 0x0800), Ipv4({}, tcp)}), {Kind::kTcp4, 1400, 70, 38}},
      {"TCP, IPv6", Join({Ethernet(0x86dd), Ipv6({}, tcp)}), {Kind::kTcp6, 1400, 86, 54}},
      {"TCP, IPv6 options",
       Join({Ethernet(0x86dd), Ipv6({.next = 60}, Join({Extension(6, 16), tcp}))}),
       {Kind::kTcp6, 1400, 102, 70}},
  });
}

TEST_F(LedgerSuperPacketTest, Udp_CountsAsTheDeviceCountsItsSegments) {
  const Case probe{
      "UDP, one segment", Join({Ethernet(0x0800), Ipv4({.protocol = 17}, Udp(600))}), {Kind::kUdp, 1200, 42, 34}};
  if (absl::IsInvalidArgument(OpenSender(Side::kA, true).Send(probe.frame, probe.super)))
    GTEST_SKIP() << "packet sockets take no UDP super-packets here";  // they do since Linux 6.2
  ASSERT_TRUE(rig_->WaitUntilSilent().ok());
  ExpectAsTheDevice({
      {"UDP", Join({Ethernet(0x0800), Ipv4({.protocol = 17}, Udp(9000))}), {Kind::kUdp, 1200, 42, 34}},
      {"UDP, IPv6", Join({Ethernet(0x86dd), Ipv6({.next = 17}, Udp(9001))}), {Kind::kUdp, 100, 62, 54}},
  });
}

TEST_F(LedgerDeviceTest, VlanTaggedFlood_BothEnds_CountTheTagAndNameTheVlan) {
  MakeRig();
  const auto a = Watch(Side::kA, {}, true), b = Watch(Side::kB, {}, true);
  ASSERT_TRUE(a && b);
  FloodResult sent;
  for (int version : {4, 6}) {
    const FloodResult one = FloodFrom(Side::kA, {.ip_version = version, .flows = 100, .vlan = 100, .frames = 5000});
    sent.frames += one.frames;
    sent.bytes += one.bytes;
  }
  EXPECT_EQ(sent.bytes, sent.frames * (kFloodFrameBytes + 4));
  const PacketStats at_a = a->Finish(), at_b = b->Finish();
  EXPECT_TRUE(at_a.interfaces.at(0).tx == (TrafficCount{{sent.frames, sent.bytes}, sent.frames, sent.bytes}));
  // The receiving end's skbs have their tag beside them: on the wire it was in the frame.
  EXPECT_TRUE(at_b.interfaces.at(0).rx ==
              (TrafficCount{{sent.frames, sent.bytes}, sent.frames, sent.bytes - 4 * sent.frames}));
  for (const WatchedLink* link : {a.get(), b.get()}) {
    EXPECT_EQ(link->book().Conversations().size(), 200u);
    for (const auto& [who, count] : link->book().Conversations()) ASSERT_EQ(std::get<3>(who), 100);
  }
}

// GRO merges before the ingress hook: what left the other end segment by segment is what we must find in the merged ones.
TEST_F(LedgerDeviceTest, TcpBulk_MergedByGro_PacketsAndBytesAreTheDevices) {
  MakeRig();
  Ethtool(Side::kB, "gro on");
  ASSERT_TRUE(rig_->WaitUntilSilent().ok());
  const auto a = Watch(Side::kA), b = Watch(Side::kB);
  ASSERT_TRUE(a && b);
  for (int version : {4, 6}) {
    const absl::Status sent = TcpBulk(*rig_, Side::kA, Side::kB, Scaled(30 << 20, 3 << 20), version);
    ASSERT_TRUE(sent.ok()) << sent;
  }
  const PacketStats at_a = a->Finish(), at_b = b->Finish();
  const InterfaceStats& sender = at_a.interfaces.at(0);
  const InterfaceStats& receiver = at_b.interfaces.at(0);
  ASSERT_EQ(sender.tx.packets, sender.tx.skbs) << "segments were expected";
  if (receiver.rx.skbs == receiver.rx.packets) GTEST_SKIP() << "this kernel's veth does not merge";
  // Not what the sender's hook saw: behind it veth may drop, where its queue to the merging side is full.
  EXPECT_EQ(receiver.rx.packets, a->Moved().tx_packets);
  EXPECT_LE(receiver.rx.packets, sender.tx.packets);
  // With GRO veth counts before the merge, and without the link header.
  EXPECT_EQ(receiver.rx.packets, b->Moved().rx_packets);
  EXPECT_EQ(receiver.rx.bytes, b->Moved().rx_bytes + 14 * b->Moved().rx_packets);
}

// ---- devices -------------------------------------------------------------------------------------------------------

TEST_F(LedgerDeviceTest, Loopback_TcpBulk_EachPacketCountsOnceOnIngress) {
  MakeRig();
  auto monitor = rig_->RunIn(Side::kA, [] { return NetworkMonitor::Create(); });
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  FlowBook book;
  (*monitor)->SetFlowHandler(book.Handler());
  const auto device = [&] { return *rig_->RunIn(Side::kA, [] { return datapath::GetLink("lo"); }); };
  const datapath::LinkInfo before = device();
  ASSERT_TRUE((*monitor)->AttachToInterface("lo").ok());
  EXPECT_EQ((*monitor)->ListPrograms().size(), 1u);
  ASSERT_TRUE((*monitor)->StartEventProcessing().ok());
  const std::uint64_t bytes = Scaled(20 << 20, 2 << 20);
  for (int version : {4, 6}) {
    const absl::Status sent = TcpBulk(*rig_, Side::kA, Side::kA, bytes, version);
    ASSERT_TRUE(sent.ok()) << sent;
  }
  ASSERT_TRUE((*monitor)->Finish().ok());
  const datapath::LinkInfo after = device();
  const auto stats = (*monitor)->GetPacketStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  ExpectExact(*stats, book, "lo");
  const InterfaceStats& lo = stats->interfaces.at(0);
  EXPECT_EQ(lo.tx.packets, 0u);
  EXPECT_EQ(lo.rx.skbs, after.rx_packets - before.rx_packets);
  EXPECT_EQ(lo.rx.skb_bytes, after.rx_bytes - before.rx_bytes + 14 * lo.rx.skbs) << "lo counts without the link header";
  EXPECT_GT(lo.rx.bytes, 2 * bytes);
  EXPECT_EQ(book.flows(), 2u);
}

// A tun device hands over bare IP packets, both ways through our descriptor.
class Tun {
 public:
  explicit Tun(const NetnsRig& rig) {
    rig.RunIn(Side::kA, [&] {
      const UniqueFd quiet(open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC));
      EXPECT_EQ(write(quiet.get(), "1", 1), 1);
      fd_ = UniqueFd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
      ifreq request{};
      std::snprintf(request.ifr_name, sizeof request.ifr_name, "tun0");
      request.ifr_flags = IFF_TUN | IFF_NO_PI;
      EXPECT_EQ(ioctl(fd_.get(), TUNSETIFF, &request), 0);
      const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      request.ifr_flags = IFF_UP;
      EXPECT_EQ(ioctl(socket_fd.get(), SIOCSIFFLAGS, &request), 0);
    });
  }
  bool Write(const Bytes& packet) {
    return write(fd_.get(), packet.data(), packet.size()) == static_cast<ssize_t>(packet.size());
  }
  int ReadAll() {
    char buffer[20000];
    int packets = 0;
    while (read(fd_.get(), buffer, sizeof buffer) > 0) packets++;
    return packets;
  }

 private:
  UniqueFd fd_;
};

TEST_F(LedgerDeviceTest, Tun_BothDirections_CountsFromTheIpHeaderOn) {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/net/tun here";
  MakeRig();
  Tun tun(*rig_);
  auto monitor = rig_->RunIn(Side::kA, [] { return NetworkMonitor::Create(); });
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  FlowBook book(true);
  (*monitor)->SetFlowHandler(book.Handler());
  ASSERT_TRUE((*monitor)->AttachToInterface("tun0").ok());
  const auto device = [&] { return *rig_->RunIn(Side::kA, [] { return datapath::GetLink("tun0"); }); };
  const datapath::LinkInfo before = device();
  const Bytes udp4 = Ipv4({.protocol = 17}, Udp(100)), tcp6 = Ipv6({}, Tcp()), broken = Ipv4({.ihl = 4}, Tcp());
  for (int i = 0; i < 10; i++)
    for (const Bytes& packet : {udp4, tcp6, broken}) ASSERT_TRUE(tun.Write(packet));
  auto sender = rig_->RunIn(Side::kA, [] { return FrameSender::Open("tun0"); });
  ASSERT_TRUE(sender.ok()) << sender.status();
  for (int i = 0; i < 10; i++)
    for (const Bytes& packet : {udp4, tcp6}) ASSERT_TRUE(sender->Send(packet).ok());
  for (int i = 0, read = 0; i < 100 && read < 20; i++, std::this_thread::sleep_for(milliseconds(5)))
    read += tun.ReadAll();
  const datapath::LinkInfo after = device();
  ASSERT_TRUE((*monitor)->Finish().ok());
  const auto stats = (*monitor)->GetPacketStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  ExpectExact(*stats, book, "tun0");
  const InterfaceStats& ours = stats->interfaces.at(0);
  EXPECT_EQ(ours.rx.packets, 30u);
  EXPECT_EQ(ours.rx.bytes, 10 * (udp4.size() + tcp6.size() + broken.size()));
  EXPECT_EQ(ours.tx.packets, 20u);
  EXPECT_EQ(ours.tx.bytes, 10 * (udp4.size() + tcp6.size()));
  EXPECT_EQ(ours.rx.packets, after.rx_packets - before.rx_packets);
  EXPECT_EQ(ours.rx.bytes, after.rx_bytes - before.rx_bytes);
  EXPECT_EQ(ours.tx.packets, after.tx_packets - before.tx_packets);
  EXPECT_EQ(ours.tx.bytes, after.tx_bytes - before.tx_bytes);
  EXPECT_TRUE(ours.ledger.remainder.at("ipv4_header") == (Count{10, 10 * broken.size()}));
  EXPECT_EQ(book.flows(), 2u);
}

}  // namespace
}  // namespace knp::test
