//! The page of what is counted, in the OpenMetrics text format
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>). No label holds a name of an account or an address of a
//! client.

use std::fmt;
use std::sync::Arc;

use portcullis_core::cloud::SourceStatus;
use portcullis_core::{Clock as _, Timestamp};
use portcullis_guard::cloud::Cloud;
use portcullis_guard::{ChannelCounts, Dispatcher, Guard};
use portcullis_ldap::metrics::{BindResult, Count, Handling, Limit, Metrics, Request};
use portcullis_ldap::{ServerStatus, Shared, Upstreams};
use portcullis_store::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::system::System;

/// One count of a listener's.
type Pick = fn(&Metrics) -> &Count;
/// One number of a source's.
type PickSource = fn(&SourceStatus) -> u64;
/// One number of a channel's.
type PickChannel = fn(&ChannelCounts) -> u64;
/// One number of a server's.
type PickStatus = fn(&ServerStatus) -> u64;
type Labels<'a> = &'a [(&'a str, &'a str)];

/// Reads what the rooms have counted.
pub(crate) struct Page {
    listeners: Vec<Arc<Shared<Guard>>>,
    upstreams: Upstreams,
    guard: Arc<Guard>,
    cloud: Arc<Cloud>,
    dispatcher: Arc<Dispatcher>,
    store: Store,
    started: Timestamp,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("listeners", &self.listeners.len()).finish_non_exhaustive()
    }
}

/// The page, as the web room wants it.
pub(crate) fn page(
    listeners: Vec<Arc<Shared<Guard>>>,
    upstreams: Upstreams,
    guard: Arc<Guard>,
    cloud: Arc<Cloud>,
    dispatcher: Arc<Dispatcher>,
    store: Store,
) -> portcullis_web::MetricsPage {
    let mut registry = Registry::default();
    let started = System.now();
    registry.register_collector(Box::new(Page { listeners, upstreams, guard, cloud, dispatcher, store, started }));
    Arc::new(move || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).map(|()| text)
    })
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.connections(&mut out)?;
        self.requests(&mut out)?;
        self.directory(&mut out)?;
        self.servers(&mut out)?;
        self.opaque(&mut out)?;
        self.decisions(&mut out)?;
        self.sources(&mut out)?;
        self.channels(&mut out)?;
        self.store(&mut out)?;
        self.process(&mut out)
    }
}

impl Page {
    fn each(&self) -> impl Iterator<Item = (&str, &Metrics)> {
        self.listeners.iter().map(|shared| (shared.listener().name.as_str(), shared.metrics()))
    }

    fn connections(&self, out: &mut Out<'_>) -> fmt::Result {
        out.family("portcullis_connections_open", "Connections of clients that are open.", Kind::Gauge, |family| {
            self.listeners.iter().try_for_each(|shared| {
                family.value(&[("listener", shared.listener().name.as_str())], shared.connections() as u64)
            })
        })?;
        let simple: [(&str, &str, Pick); 4] = [
            ("connections_accepted", "Connections that came, those closed at once included.", |m| &m.accepted),
            ("accept_failures", "Connections that could not be accepted.", |m| &m.accept_failures),
            ("bad_proxy_headers", "Load balancers' connections without a proper PROXY header.", |m| {
                &m.bad_proxy_headers
            }),
            ("failed_handshakes", "TLS handshakes with clients that failed, not by time.", |m| &m.failed_handshakes),
        ];
        for (name, help, count) in simple {
            self.per_listener(out, &format!("portcullis_{name}"), help, Kind::Counter, count)?;
        }
        self.octets(out, "portcullis_client_octets", "LDAP octets from and to clients.", |m| {
            [&m.client_received, &m.client_sent]
        })?;
        out.family("portcullis_limit_reached", "How often a limit took effect.", Kind::Counter, |family| {
            self.each().try_for_each(|(listener, metrics)| {
                Limit::ALL.iter().try_for_each(|limit| {
                    family.value(&[("listener", listener), ("limit", limit.name())], metrics.reached(*limit))
                })
            })
        })
    }

    fn requests(&self, out: &mut Out<'_>) -> fmt::Result {
        out.family("portcullis_requests", "Requests, by what was done with them.", Kind::Counter, |family| {
            for (listener, metrics) in self.each() {
                for request in Request::ALL {
                    for handling in Handling::ALL {
                        let labels =
                            [("listener", listener), ("operation", request.name()), ("handling", handling.name())];
                        family.value(&labels, metrics.requests(*request, *handling))?;
                    }
                }
            }
            Ok(())
        })?;
        out.family("portcullis_binds", "Binds, by how they ended.", Kind::Counter, |family| {
            self.each().try_for_each(|(listener, metrics)| {
                BindResult::ALL.iter().try_for_each(|result| {
                    family.value(&[("listener", listener), ("result", result.name())], metrics.binds(*result))
                })
            })
        })
    }

    fn directory(&self, out: &mut Out<'_>) -> fmt::Result {
        let help = "Connections to the directory that clients got, spare or made for them, or did not get.";
        out.family("portcullis_directory_connections", help, Kind::Counter, |family| {
            self.each().try_for_each(|(listener, metrics)| {
                let of = |result| [("listener", listener), ("result", result)];
                family.value(&of("spare"), metrics.directory_spare.get())?;
                family.value(&of("ready"), metrics.directory_connected.get())?;
                family.value(&of("failed"), metrics.directory_failures.get())
            })
        })
    }

    fn servers(&self, out: &mut Out<'_>) -> fmt::Result {
        let servers = self.upstreams.status();
        let simple: [(&str, &str, Kind, PickStatus); 4] = [
            ("up", "1 while the server of the directory is there.", Kind::Gauge, |s| u64::from(s.up)),
            ("connections_open", "Connections for clients, spare ones included.", Kind::Gauge, |s| s.open as u64),
            ("connections_spare", "Connections that no client uses at the moment.", Kind::Gauge, |s| s.spare as u64),
            ("connections_handed_on", "Connections that were kept when their client left.", Kind::Counter, |s| {
                s.handed_on
            }),
        ];
        for (name, help, kind, value) in simple {
            out.family(&format!("portcullis_directory_server_{name}"), help, kind, |family| {
                servers.iter().try_for_each(|server| family.value(&[("server", &server.address)], value(server)))
            })?;
        }
        let (name, help) = ("portcullis_directory_server_connections", "Attempts to connect to the server.");
        out.family(name, help, Kind::Counter, |family| {
            servers.iter().try_for_each(|server| {
                family.value(&[("server", &server.address), ("result", "ready")], server.connected)?;
                family.value(&[("server", &server.address), ("result", "failed")], server.failures)
            })
        })
    }

    fn opaque(&self, out: &mut Out<'_>) -> fmt::Result {
        let open = "Streams that are relayed unseen at the moment.";
        self.per_listener(out, "portcullis_opaque_streams_open", open, Kind::Gauge, |m| &m.opaque_open)?;
        let all = "Streams that were relayed unseen.";
        self.per_listener(out, "portcullis_opaque_streams", all, Kind::Counter, |m| &m.opaque_streams)?;
        self.octets(out, "portcullis_opaque_octets", "Octets relayed unseen, from and to clients.", |m| {
            [&m.opaque_received, &m.opaque_sent]
        })
    }

    fn decisions(&self, out: &mut Out<'_>) -> fmt::Result {
        let counts = self.guard.counts();
        out.family("portcullis_decisions", "Accesses, by what was decided.", Kind::Counter, |family| {
            counts.decisions().iter().try_for_each(|(decision, count)| family.value(&[("decision", decision)], *count))
        })?;
        out.family("portcullis_challenges", "Challenges, by outcome, per access.", Kind::Counter, |family| {
            counts.challenges().iter().try_for_each(|(outcome, count)| family.value(&[("outcome", outcome)], *count))
        })?;
        let help = "Evaluations of policies that gave no ruling.";
        out.single("portcullis_policy_faults", help, Kind::Counter, counts.policy_faults())?;
        let rulings = self.guard.ruled();
        let help = "Accesses that a policy of the list in force was asked about, by what it said.";
        out.family("portcullis_policy_rulings", help, Kind::Counter, |family| {
            rulings.iter().try_for_each(|(policy, did)| {
                let label = policy.as_str();
                did.verdicts
                    .iter()
                    .try_for_each(|(verdict, count)| family.value(&[("policy", label), ("verdict", verdict)], *count))
            })
        })?;
        let help = "Accesses that a canary was asked about, by whether it said the same as the policy that it shadows.";
        out.family("portcullis_policy_canaries", help, Kind::Counter, |family| {
            rulings.iter().filter(|(_, did)| did.agreed + did.differed > 0).try_for_each(|(policy, did)| {
                family.value(&[("policy", policy.as_str()), ("result", "agreed")], did.agreed)?;
                family.value(&[("policy", policy.as_str()), ("result", "differed")], did.differed)
            })
        })?;
        let help = "Accesses whose event could not be stored.";
        out.single("portcullis_events_not_stored", help, Kind::Counter, counts.not_stored())
    }

    fn sources(&self, out: &mut Out<'_>) -> fmt::Result {
        let sources = self.cloud.status();
        let seconds = |at: Option<Timestamp>| at.map_or(0, |at| at.0 / 1000);
        let simple: [(&str, &str, Kind, PickSource); 6] = [
            ("up", "1 while the events of the cloud service can be read.", Kind::Gauge, |s| {
                u64::from(s.last_error.is_none() && s.last_success.is_some())
            }),
            ("behind", "1 while more events are waiting there than were read.", Kind::Gauge, |s| u64::from(s.behind)),
            ("events", "Events that were stored.", Kind::Counter, |s| s.stored),
            ("events_again", "Events that came again and were not stored.", Kind::Counter, |s| s.again),
            ("polls", "Reads that succeeded.", Kind::Counter, |s| s.polls),
            ("failures", "Reads that failed.", Kind::Counter, |s| s.failures),
        ];
        for (name, help, kind, value) in simple {
            out.family(&format!("portcullis_source_{name}"), help, kind, |family| {
                sources.iter().try_for_each(|s| family.value(&[("source", s.source.as_str())], value(s)))
            })?;
        }
        let help = "When the source was last read, in seconds since 1970; 0 for never.";
        out.family("portcullis_source_last_success_seconds", help, Kind::Gauge, |family| {
            sources.iter().try_for_each(|s| family.value(&[("source", s.source.as_str())], seconds(s.last_success)))
        })?;
        let help = "Everything before this was read, in seconds since 1970; 0 where that is not known.";
        out.family("portcullis_source_complete_to_seconds", help, Kind::Gauge, |family| {
            sources.iter().try_for_each(|s| family.value(&[("source", s.source.as_str())], seconds(s.complete_to)))
        })?;
        let help = "What followed from events of cloud services: people asked, accounts acted against, given up.";
        out.family("portcullis_follow_ups", help, Kind::Counter, |family| {
            let all = self.cloud.follow_ups().all();
            all.iter().try_for_each(|(what, count)| family.value(&[("what", what)], *count))
        })
    }

    fn channels(&self, out: &mut Out<'_>) -> fmt::Result {
        let channels = self.dispatcher.counts();
        let simple: [(&str, &str, Kind, PickChannel); 4] = [
            ("delivered", "Messages that went out.", Kind::Counter, |c| c.delivered),
            ("failures", "Attempts to send a message that failed.", Kind::Counter, |c| c.failed),
            ("given_up", "Things to tell that were given up.", Kind::Counter, |c| c.given_up),
            ("waiting", "Things to tell that wait.", Kind::Gauge, |c| c.waiting),
        ];
        for (name, help, kind, value) in simple {
            out.family(&format!("portcullis_channel_{name}"), help, kind, |family| {
                channels
                    .iter()
                    .try_for_each(|(name, counts)| family.value(&[("channel", name.as_str())], value(counts)))
            })?;
        }
        Ok(())
    }

    fn store(&self, out: &mut Out<'_>) -> fmt::Result {
        let health = self.store.health();
        let queued = "Writes that wait for the store.";
        out.single("portcullis_store_queued", queued, Kind::Gauge, health.queued as u64)?;
        let events = "Events in the store.";
        out.single("portcullis_store_events", events, Kind::Gauge, health.events)?;
        let failing = "1 while the latest transaction of the store has failed.";
        out.single("portcullis_store_failing", failing, Kind::Gauge, u64::from(health.last_error.is_some()))
    }

    fn process(&self, out: &mut Out<'_>) -> fmt::Result {
        out.family("portcullis_build_info", "Version of the gateway.", Kind::Gauge, |family| {
            family.value(&[("version", env!("CARGO_PKG_VERSION"))], 1)
        })?;
        let started = "When the process started, in seconds since 1970.";
        out.single("process_start_time_seconds", started, Kind::Gauge, self.started.0 / 1000)?;
        if let Some(octets) = resident_memory() {
            out.single("process_resident_memory_bytes", "Memory that is in use.", Kind::Gauge, octets)?;
        }
        // One of them is the folder that is being read.
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            let open = (open.count() as u64).saturating_sub(1);
            out.single("process_open_fds", "File descriptors that are open.", Kind::Gauge, open)?;
        }
        match maximum_fds() {
            Some(most) => out.single("process_max_fds", "File descriptors that may be open.", Kind::Gauge, most),
            None => Ok(()),
        }
    }

    fn per_listener(
        &self,
        out: &mut Out<'_>,
        name: &str,
        help: &str,
        kind: Kind,
        count: impl Fn(&Metrics) -> &Count,
    ) -> fmt::Result {
        out.family(name, help, kind, |family| {
            self.each()
                .try_for_each(|(listener, metrics)| family.value(&[("listener", listener)], count(metrics).get()))
        })
    }

    /// Octets in both directions, as the client sees them.
    fn octets(
        &self,
        out: &mut Out<'_>,
        name: &str,
        help: &str,
        counts: impl Fn(&Metrics) -> [&Count; 2],
    ) -> fmt::Result {
        out.family(name, help, Kind::Counter, |family| {
            self.each().try_for_each(|(listener, metrics)| {
                let [received, sent] = counts(metrics);
                family.value(&[("listener", listener), ("direction", "received")], received.get())?;
                family.value(&[("listener", listener), ("direction", "sent")], sent.get())
            })
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// Where the page is written to.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        values: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        // The encoder ends the sentence, and the name of a counter with `_total`.
        let metric_type = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let encoder = self.0.encode_descriptor(name, help, None, metric_type)?;
        values(&mut Family { encoder, kind })
    }

    fn single(&mut self, name: &str, help: &str, kind: Kind, value: u64) -> fmt::Result {
        self.family(name, help, kind, |family| family.write(None, value))
    }
}

struct Family<'a> {
    encoder: MetricEncoder<'a>,
    kind: Kind,
}

impl Family<'_> {
    fn value(&mut self, labels: Labels<'_>, value: u64) -> fmt::Result {
        self.write(Some(labels), value)
    }

    fn write(&mut self, labels: Option<Labels<'_>>, value: u64) -> fmt::Result {
        fn one(encoder: &mut MetricEncoder<'_>, kind: Kind, value: u64) -> fmt::Result {
            match kind {
                Kind::Counter => encoder.encode_counter::<[(&str, &str); 0], u64, f64>(&value, None),
                Kind::Gauge => encoder.encode_gauge(&value),
            }
        }
        match labels {
            Some(labels) => one(&mut self.encoder.encode_family(&labels)?, self.kind, value),
            None => one(&mut self.encoder, self.kind, value),
        }
    }
}

/// In octets, from `VmRSS` (`proc_pid_status(5)`).
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The soft limit (`proc_pid_limits(5)`).
fn maximum_fds() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_knows_itself() {
        assert!(resident_memory().unwrap() > 1 << 20);
        assert!(maximum_fds().unwrap() >= 16);
    }
}
