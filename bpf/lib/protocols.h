/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What is known of protocols by their numbers alone, for the programs beside the data path; src/base/protocols.h is user
 * space's. Include the kernel's types first.
 */
#ifndef KNP_BPF_PROTOCOLS_H
#define KNP_BPF_PROTOCOLS_H

/* TCP, UDP, DCCP, SCTP, UDP-Lite: the header begins with two ports. */
static __always_inline int knp_has_ports(__u32 protocol) {
  return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;
}

#endif /* KNP_BPF_PROTOCOLS_H */
