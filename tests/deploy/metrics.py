"""The agent's metrics that dashboard and alerts may rely on, with their labels: a copy of the contract, to be compared with what
the agent exports. Prometheus adds job and instance to each, and histograms have le.
"""
METRICS = {
    "build_info": {"version"},
    "interface_packets_total": {"interface", "direction"},
    "interface_bytes_total": {"interface", "direction"},
    "interface_skbs_total": {"interface", "direction"},
    "protocol_packets_total": {"protocol", "direction"},
    "protocol_bytes_total": {"protocol", "direction"},
    "workload_bytes_total": {"source_namespace", "source_workload", "destination_namespace", "destination_workload"},
    "workload_packets_total": {"source_namespace", "source_workload", "destination_namespace", "destination_workload"},
    "connections_active": set(),
    "connections_total": {"outcome"},
    "tcp_handshake_seconds_bucket": {"le"},
    "tcp_retransmits_total": set(),
    "drops_total": {"reason"},
    "dns_responses_total": {"rcode"},
    "dns_latency_seconds_bucket": {"le"},
    "alerts_total": {"type", "severity"},
    "ledger_seen_packets": {"interface"},
    "ledger_in_flows_packets": {"interface"},
    "ledger_in_flight_packets": {"interface"},
    "ledger_remainder_packets": {"interface", "reason"},
    "ledger_lost_packets": {"interface", "where"},
    "events_lost_total": {"source"},
    "hook_shadowed": {"interface"},
    "degraded": {"step"},
}
METRICS = {f"kubenetprobe_{name}": labels for name, labels in METRICS.items()}
