// Blocks of addresses: what is taken as one, what is refused, and what lies within.
#include <gtest/gtest.h>
#include <knp/prefix.h>

#include <string>

namespace knp {
namespace {

Prefix P(const std::string& text) {
  const auto prefix = Prefix::Parse(text);
  EXPECT_TRUE(prefix.ok()) << text << ": " << prefix.status();
  return prefix.value_or(Prefix{});
}

TEST(Prefix, Parse_WhatPeopleWrite_IsReadAndWrittenBack) {
  const std::pair<const char*, const char*> texts[] = {
      {"10.0.0.0/8", "10.0.0.0/8"},
      {"10.1.2.3/8", "10.0.0.0/8"},
      {"10.1.2.3", "10.1.2.3"},
      {"10.1.2.3/32", "10.1.2.3"},
      {"10.1.2.255/25", "10.1.2.128/25"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"fd00::/8", "fd00::/8"},
      {"fd00:1::5/16", "fd00::/16"},
      {"2001:db8::ffff/113", "2001:db8::8000/113"},
      {"2001:db8::1", "2001:db8::1"},
      {"::/0", "::/0"},
  };
  for (const auto& [text, canonical] : texts) {
    EXPECT_EQ(P(text).ToString(), canonical) << text;
    EXPECT_EQ(P(canonical), P(text)) << text;
  }
}

TEST(Prefix, Parse_NoPrefix_IsRefusedWithItsText) {
  for (const std::string text : {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08",
                                 "10.0.0.0/8 ", "10.0.0.0/8/8", "10.0.0/8", "fd00::/129", "fd00::/x", "example.com",
                                 "10.0.0.0/99999999999999999999", " 10.0.0.0/8"}) {
    const auto prefix = Prefix::Parse(text);
    ASSERT_TRUE(absl::IsInvalidArgument(prefix.status())) << text;
    EXPECT_NE(prefix.status().message().find("'" + text + "'"), std::string::npos) << prefix.status();
  }
}

TEST(Prefix, Contains_Addresses_ByTheLeadingBitsOfTheSameFamily) {
  EXPECT_TRUE(P("10.0.0.0/8").Contains(*ParseIpAddress("10.255.255.255")));
  EXPECT_FALSE(P("10.0.0.0/8").Contains(*ParseIpAddress("11.0.0.0")));
  EXPECT_TRUE(P("10.1.2.128/25").Contains(*ParseIpAddress("10.1.2.200")));
  EXPECT_FALSE(P("10.1.2.128/25").Contains(*ParseIpAddress("10.1.2.127")));
  EXPECT_TRUE(P("10.1.2.3").Contains(*ParseIpAddress("10.1.2.3")));
  EXPECT_FALSE(P("10.1.2.3").Contains(*ParseIpAddress("10.1.2.2")));
  EXPECT_TRUE(P("0.0.0.0/0").Contains(*ParseIpAddress("192.0.2.1")));
  EXPECT_FALSE(P("0.0.0.0/0").Contains(*ParseIpAddress("::1")));
  EXPECT_FALSE(P("::/0").Contains(*ParseIpAddress("192.0.2.1")));
  EXPECT_FALSE(P("10.0.0.0/8").Contains(*ParseIpAddress("::ffff:10.0.0.1")));
  EXPECT_TRUE(P("2001:db8::/33").Contains(*ParseIpAddress("2001:db8:7fff::1")));
  EXPECT_FALSE(P("2001:db8::/33").Contains(*ParseIpAddress("2001:db8:8000::1")));
}

TEST(Prefix, Contains_Prefixes_OnlyNarrowerOnesWithin) {
  EXPECT_TRUE(P("10.0.0.0/8").Contains(P("10.1.0.0/16")));
  EXPECT_TRUE(P("10.0.0.0/8").Contains(P("10.0.0.0/8")));
  EXPECT_FALSE(P("10.1.0.0/16").Contains(P("10.0.0.0/8")));
  EXPECT_TRUE(P("10.1.0.0/16").Overlaps(P("10.0.0.0/8")));
  EXPECT_TRUE(P("10.0.0.0/8").Overlaps(P("10.1.0.0/16")));
  EXPECT_FALSE(P("10.0.0.0/16").Overlaps(P("10.1.0.0/16")));
  EXPECT_FALSE(P("0.0.0.0/0").Overlaps(P("::/0")));
}

TEST(Prefix, Of_LengthBeyondTheFamilys_IsTheAddress) {
  EXPECT_EQ(Prefix::Of(*ParseIpAddress("10.1.2.3"), 200), Prefix::Host(*ParseIpAddress("10.1.2.3")));
  EXPECT_TRUE(Prefix::Of(*ParseIpAddress("10.1.2.3"), 200).IsHost());
  EXPECT_EQ(Prefix::Of(*ParseIpAddress("fd00::1"), 500).length, 128);
}

}  // namespace
}  // namespace knp
