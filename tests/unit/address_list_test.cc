// Lists of addresses as files give them, and how the longest entry is found; which addresses are ours.
#include "src/base/address_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/base/address_scope.h"

namespace knp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

IpAddress Ip(const std::string& text) { return *ParseIpAddress(text); }

std::string EntryOf(const AddressList& list, const std::string& address) {
  AddressList::Match match;
  return list.Find(Ip(address), &match) ? match.entry.ToString() + " " + std::string(match.label) : "";
}

TEST(AddressList, TextWithCommentsAndLabels_LongestEntryFound) {
  AddressList list;
  std::vector<std::string> complaints;
  list.AddText(
      "# a feed\n"
      "198.51.0.0/16 wide\r\n"
      "\n"
      "198.51.100.0/24\tnarrow one  # inside the other\n"
      "198.51.100.7\n"
      "203.0.113.9,comma separated\n"
      "2001:db8::/32 six\n"
      "  192.0.2.1  ",
      "feed.txt", &complaints);
  EXPECT_THAT(complaints, ElementsAre());
  EXPECT_EQ(list.size(), 6u);
  EXPECT_EQ(EntryOf(list, "198.51.1.1"), "198.51.0.0/16 wide");
  EXPECT_EQ(EntryOf(list, "198.51.100.1"), "198.51.100.0/24 narrow one");
  EXPECT_EQ(EntryOf(list, "198.51.100.7"), "198.51.100.7 ");
  EXPECT_EQ(EntryOf(list, "203.0.113.9"), "203.0.113.9 comma separated");
  EXPECT_EQ(EntryOf(list, "192.0.2.1"), "192.0.2.1 ");
  EXPECT_EQ(EntryOf(list, "2001:db8:1::1"), "2001:db8::/32 six");
  for (const char* other : {"198.52.0.1", "192.0.2.2", "203.0.113.8", "2001:db9::1", "::ffff:192.0.2.1"})
    EXPECT_EQ(EntryOf(list, other), "") << other;
}

TEST(AddressList, BadLines_ToldWithFileAndLineAndSkipped) {
  AddressList list;
  std::vector<std::string> complaints;
  list.AddText("10.0.0.1\nnonsense\n10.0.0.0/40\n" + std::string(300, 'x') + "\n10.0.0.2\n", "bad.txt", &complaints);
  EXPECT_EQ(list.size(), 2u);
  EXPECT_THAT(complaints, ElementsAre(HasSubstr("bad.txt:2: 'nonsense'"), HasSubstr("bad.txt:3: "),
                                      HasSubstr("bad.txt:4: no address")));
}

TEST(AddressList, ManyBadLines_TheFirstToldTheRestCounted) {
  AddressList list;
  std::vector<std::string> complaints;
  std::string text;
  for (int i = 0; i < 1000; i++) text += "?\n";
  list.AddText(text, "f", &complaints);
  ASSERT_EQ(complaints.size(), AddressList::kMostComplaints + 1);
  EXPECT_EQ(complaints.back(), "f: 980 more lines are skipped");
}

TEST(AddressList, Label_WithoutControlCharactersAndCut) {
  AddressList list;
  std::vector<std::string> complaints;
  list.AddText("192.0.2.1 evil\x1b[2J" + std::string(500, 'a') + "\n", "f", &complaints);
  AddressList::Match match;
  ASSERT_TRUE(list.Find(Ip("192.0.2.1"), &match));
  EXPECT_EQ(match.label.find('\x1b'), std::string_view::npos);
  EXPECT_EQ(match.label.size(), AddressList::kLongestLabel);
}

TEST(AddressList, WholeInternet_HoldsEverything) {
  AddressList list;
  EXPECT_TRUE(list.Add(*Prefix::Parse("0.0.0.0/0"), "all"));
  EXPECT_FALSE(list.Add(*Prefix::Parse("0.0.0.0/0"), "again"));
  EXPECT_EQ(EntryOf(list, "255.255.255.255"), "0.0.0.0/0 again");
  EXPECT_EQ(EntryOf(list, "::1"), "");
}

TEST(AddressScope, PrivateBlocks_EdgesAreRight) {
  for (const char* ours :
       {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.1", "100.64.0.0", "100.127.255.255",
        "169.254.1.1", "127.0.0.1", "198.19.0.1", "::1", "fe80::1", "fc00::1", "fdff::1", "::"})
    EXPECT_TRUE(IsPrivate(Ip(ours))) << ours;
  for (const char* other : {"11.0.0.0", "172.15.255.255", "172.32.0.0", "192.169.0.1", "100.63.0.1", "100.128.0.0",
                            "169.253.0.1", "198.20.0.1", "8.8.8.8", "2001:db8::1", "fec0::1", "::2"})
    EXPECT_FALSE(IsPrivate(Ip(other))) << other;
}

TEST(AddressScope, AddedNetworks_AreInternalAndGroupsNeither) {
  const std::vector<Prefix> more{*Prefix::Parse("198.51.100.0/24")};
  const InternalNetworks networks(more);
  EXPECT_TRUE(networks.IsInternal(Ip("198.51.100.7")));
  EXPECT_TRUE(networks.IsExternal(Ip("198.51.101.7")));
  for (const char* group : {"224.0.0.251", "255.255.255.255", "ff02::fb"}) {
    EXPECT_FALSE(networks.IsInternal(Ip(group))) << group;
    EXPECT_FALSE(networks.IsExternal(Ip(group))) << group;
  }
}

}  // namespace
}  // namespace knp
