#include "src/app/refused.h"

#include <algorithm>
#include <array>

namespace knp::app {
namespace {

struct Refused {
  std::string_view name;
  std::string_view reason;
};

constexpr std::array<Refused, 36> kRefused = {{
    {"AMQP", "small numbers in the places of a frame's header; signatures.cc knows it better"},
    {"Cassandra", "any message of nine bytes whose fifth is small; signatures.cc knows it better"},
    {"CiscoVPN", "any DTLS or TLS on certain ports"},
    {"COAP", "any datagram on its port whose first byte is 64 to 111"},
    {"eDonkey", "a byte and its length"},
    {"FTP_DATA", "any text that looks like a list of files"},
    {"GooglePlus", "what is long gone; its names are now Google's"},
    {"HTTP_Connect", "what is said of HTTP by its method already"},
    {"HTTP_Proxy", "what is said of HTTP by its method already"},
    {"IMO", "any datagram of one byte"},
    {"Mining", "the handshake of Ethereum nodes, which do not mine, and any JSON-RPC"},
    {"MongoDB", "any message with a small number in its fourth word; signatures.cc knows it better"},
    {"MQTT", "two bytes that fit; signatures.cc knows it better"},
    {"MsSQL-TDS", "a few small numbers; signatures.cc knows it better"},
    {"NOE", "any datagram of a byte or five"},
    {"PPStream", "any datagram with a few zeros in their places"},
    {"QQ", "a byte and the datagram's size"},
    {"RDP", "anything in ISO transport packets; signatures.cc knows it better"},
    {"Redis", "its first characters alone; signatures.cc knows it better"},
    {"RTCP", "any datagram with one of eight values in its second byte"},
    {"RTMP", "any stream that begins with 3 or 4"},
    {"RTP", "any datagram whose first byte is between 128 and 191"},
    {"s7comm", "anything in ISO transport packets"},
    {"sFlow", "any datagram that begins with version 5 or below"},
    {"Skype_Teams", "datagrams of certain sizes"},
    {"SkypeCall", "datagrams of certain sizes"},
    {"Steam", "any datagram whose first byte is 0xff, or a few zeros"},
    {"TargusDataspeed", "four bits on certain ports"},
    {"TFTP", "any datagram that begins with a small number; signatures.cc knows it better"},
    {"Thunder", "a byte and a few zeros"},
    {"TLS", "what we read ourselves; its reader takes 2 KB of any stream"},
    {"Tor", "a server name without vowels, or so"},
    {"Unknown", "no name"},
    {"Viber", "a few bytes of certain values"},
    {"WebSocket", "two bytes that fit; it begins as HTTP"},
    {"Z39.50", "a byte and its length"},
}};

}  // namespace

bool IsRefused(std::string_view name) {
  return std::any_of(kRefused.begin(), kRefused.end(), [&](const Refused& refused) { return refused.name == name; });
}

}  // namespace knp::app
