//! What is measured, by name. The names up to [`of_the_node_daemon`]'s end are the Node daemon's, for whoever has dashboards.

use std::collections::BTreeMap;
use std::collections::HashMap;

use prometheus::proto::Bucket;
use prometheus::proto::Counter;
use prometheus::proto::Gauge;
use prometheus::proto::Histogram;
use prometheus::proto::LabelPair;
use prometheus::proto::Metric;
use prometheus::proto::MetricFamily;
use prometheus::proto::MetricType;

use crate::books::calls::LATENCY_BOUNDS_MS;
use crate::books::calls::Latency;
use crate::books::calls::Standing;
use crate::event::EventId;
use crate::hook::Hook;
use crate::journal::Health;
use crate::status::ReaderStatus;
use crate::status::Status;

type Labels<'a> = &'a [(&'a str, &'a str)];

/// A family that is being written.
pub(super) struct Family {
    family: MetricFamily,
    kind: MetricType,
    metrics: Vec<Metric>,
}

impl Family {
    fn new(kind: MetricType, name: &str, help: &str) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(format!("bbb_webhooks_{name}"));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self { family, kind, metrics: Vec::new() }
    }

    pub(super) fn counter(name: &str, help: &str) -> Self {
        Self::new(MetricType::COUNTER, name, help)
    }

    pub(super) fn gauge(name: &str, help: &str) -> Self {
        Self::new(MetricType::GAUGE, name, help)
    }

    #[allow(clippy::cast_precision_loss, reason = "a metric is a floating-point number")]
    fn count(self, labels: Labels<'_>, value: u64) -> Self {
        self.with(labels, value as f64)
    }

    pub(super) fn with(mut self, labels: Labels<'_>, value: f64) -> Self {
        let mut metric = labelled(labels);
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
        self
    }

    /// One sample of each item.
    fn each<T>(self, items: impl IntoIterator<Item = T>, sample: impl Fn(Self, T) -> Self) -> Self {
        items.into_iter().fold(self, sample)
    }

    pub(super) fn done(mut self) -> MetricFamily {
        self.family.set_metric(self.metrics);
        self.family
    }
}

fn labelled(labels: Labels<'_>) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

const WEBHOOKS: &str = "../out/webhooks/index.js";
const XAPI: &str = "../out/xapi/index.js";

/// Everything but the process's own, one after the other: with thousands of hooks a family takes much more memory than its
/// text. Families without a sample are left out.
pub(super) fn each(status: &Status, mut each: impl FnMut(MetricFamily)) {
    let mut family = |family: Family| {
        if !family.metrics.is_empty() {
            each(family.done());
        }
    };
    of_the_node_daemon(status, &mut family);
    of_the_whole(status).into_iter().for_each(&mut family);
    of_hooks(status, &mut family);
}

fn of_the_node_daemon(status: &Status, mut each: impl FnMut(Family)) {
    let up = |up: bool| if up { 1.0 } else { 0.0 };
    let module = |family: Family, name: &str, kind: &str, works: bool| {
        family.with(&[("module", name), ("moduleType", kind)], up(works))
    };
    let mut modules = Family::gauge("module_status", "Whether a module works: 1 if so");
    modules = module(modules, "../in/redis/index.js", "in", status.intake.is_subscribed());
    modules = module(modules, "../db/redis/index.js", "db", status.health == Health::Good);
    modules = module(modules, WEBHOOKS, "out", true);
    if status.xapi.is_some() {
        modules = module(modules, XAPI, "out", true);
    }
    let failures = status.hooks.iter().flat_map(|(hook, reader)| {
        let url = hook.public_url();
        reader.calls.failures.iter().map(move |((reason, event), count)| ((url.clone(), reason, event), *count))
    });
    let departed = &status.departed;
    let failed_before = departed.failures.iter().map(|((url, reason, event), n)| ((url.clone(), reason, event), *n));
    let processed_before = departed.delivered.iter().map(|((url, event), n)| ((event, url.clone()), *n));
    let processed = status.hooks.iter().flat_map(|(hook, reader)| {
        let url = hook.public_url();
        reader.calls.delivered.iter().map(move |(event, count)| ((event, url.clone()), *count))
    });
    let registered = status.hooks.iter().map(|(hook, _)| ((hook.public_url(), hook.permanent, hook.raw), 1));
    let parked_by_hooks = status.hooks.iter().flat_map(|(_, reader)| by_event(WEBHOOKS, &reader.calls.parked));
    let parked_by_xapi = status.xapi.iter().flat_map(|(reader, _)| by_event(XAPI, &reader.calls.parked));
    let parked = parked_by_hooks.chain(by_event(WEBHOOKS, &departed.parked)).chain(parked_by_xapi);
    each(modules);
    each(
        Family::counter("event_process_failures", "Messages that could not be understood")
            .count(&[], status.intake.unparseable.get()),
    );
    each(Family::counter("event_dispatch_failures", "Events that an output gave up: they are parked").each(
        summed(parked),
        |family, ((event, module), count)| {
            family.count(&[("outputEventId", event.as_str()), ("module", module)], count)
        },
    ));
    each(Family::gauge("meeting_mappings", "Meetings remembered").count(&[], status.intake.meetings.get()));
    each(Family::gauge("user_mappings", "Users remembered").count(&[], status.intake.users.get()));
    each(Family::counter("out_hooks_api_requests", "Calls of the API").each(
        &status.requests,
        |family, (call, count)| {
            let code = call.status.to_string();
            let labels = [
                ("method", call.method.as_str()),
                ("path", call.path.as_str()),
                ("statusCode", &code),
                ("returncode", call.returncode),
                ("messageKey", call.message_key),
            ];
            family.count(&labels, *count)
        },
    ));
    each(Family::gauge("out_hooks_registered_hooks", "Registered hooks").each(
        summed(registered),
        |family, ((url, permanent, raw), count)| {
            let truth = |is: bool| if is { "true" } else { "false" };
            let labels = [
                ("callbackURL", url.as_str()),
                ("permanent", truth(permanent)),
                ("getRaw", truth(raw)),
                ("enabled", "true"),
            ];
            family.count(&labels, count)
        },
    ));
    each(Family::counter("out_hooks_hook_failures", "Events in callbacks that failed, each attempt counted").each(
        summed(failures.chain(failed_before)),
        |family, ((url, reason, event), count)| {
            family.count(&[("callbackURL", &url), ("reason", reason), ("eventId", event.as_str())], count)
        },
    ));
    each(
        Family::counter("out_hooks_processed_events", "Events delivered")
            .each(summed(processed.chain(processed_before)), |family, ((event, url), count)| {
                family.count(&[("eventId", event.as_str()), ("callbackURL", &url)], count)
            }),
    );
}

fn of_the_whole(status: &Status) -> Vec<Family> {
    let (intake, (events, bytes)) = (&status.intake, status.memory);
    let message = |family: Family, outcome: &str, count: u64| family.count(&[("outcome", outcome)], count);
    let mut messages = Family::counter("messages_total", "Messages of BigBlueButton by what became of them");
    messages = message(messages, "mapped", intake.mapped.get());
    messages = message(messages, "ignored", intake.ignored.get());
    messages = message(messages, "unparseable", intake.unparseable.get());
    messages = message(messages, "dropped", intake.dropped.get());
    vec![
        Family::counter("messages_received_total", "Messages of BigBlueButton received")
            .count(&[], intake.received.get()),
        messages,
        Family::gauge("subscribed", "Whether BigBlueButton's messages are subscribed to: 1 if so")
            .count(&[], intake.is_subscribed().into()),
        Family::counter("subscription_losses_total", "How often the subscription was lost")
            .count(&[], intake.lost.get()),
        Family::gauge("degraded", "Whether Redis lacks something that it should have: 1 if so")
            .count(&[], (status.health != Health::Good).into()),
        Family::gauge("journal_entries", "Events in the journal's stream in Redis")
            .each(status.stored, |family, stored| family.count(&[], stored)),
        Family::gauge("journal_memory_events", "Events held in memory").count(&[], events as u64),
        Family::gauge("journal_memory_bytes", "Bytes of the events held in memory").count(&[], bytes as u64),
        Family::counter("hooks_removed_total", "Hooks that were given up, by what helped nothing")
            .each(status.given_up, |family, (why, hooks)| family.count(&[("reason", why.name())], hooks)),
        Family::counter("xapi_without_lrs_total", "Events whose meeting has no Learning Record Store to tell")
            .each(&status.xapi, |family, (_, without)| family.count(&[], *without)),
    ]
}

/// What is known of each reader: the hooks, and the xAPI output under the hook id `xapi`.
fn of_hooks(status: &Status, mut each: impl FnMut(Family)) {
    let hooks = status.hooks.iter().map(|(hook, reader): &(_, _)| {
        let hook: &Hook = hook;
        (hook.id.to_string(), hook.host(), reader)
    });
    let xapi = status.xapi.iter().map(|(reader, _)| ("xapi".to_owned(), String::new(), reader));
    let readers: Vec<(String, String, &ReaderStatus)> = hooks.chain(xapi).collect();
    let gauge = |name: &str, help: &str, value: &dyn Fn(&ReaderStatus) -> f64| {
        Family::gauge(name, help)
            .each(&readers, |family, (id, host, reader)| family.with(&[("hook", id), ("host", host)], value(reader)))
    };
    let counter = |name: &str, help: &str, label: &str, values: &dyn Fn(&ReaderStatus) -> Vec<(&'static str, u64)>| {
        Family::counter(name, help).each(&readers, |family, (id, host, reader)| {
            family.each(values(reader), |family, (value, count)| {
                family.count(&[("hook", id), ("host", host), (label, value)], count)
            })
        })
    };
    let now_ms = status.now_ms;
    each(gauge("hook_lag_events", "Events accepted for the hook that it is not done with", &|reader| {
        float(reader.lag())
    }));
    each(gauge("hook_lag_seconds", "Age of the oldest of them", &|reader| float(reader.lag_ms(now_ms)) / 1000.0));
    each(Family::gauge("hook_oldest_undelivered_timestamp_seconds", "When the oldest of them was accepted").each(
        readers.iter().filter_map(|(id, host, reader)| Some((id, host, reader.oldest_accepted_ms?))),
        |family, (id, host, accepted_ms)| family.with(&[("hook", id), ("host", host)], float(accepted_ms) / 1000.0),
    ));
    each(gauge("hook_in_flight", "Callbacks under way", &|reader| float(reader.calls.in_flight as u64)));
    each(gauge("hook_waiting_events", "Events not taken from the journal yet", &|reader| {
        float(reader.account.waiting)
    }));
    each(gauge("hook_unfinished_events", "Events taken from the journal and not finished", &|reader| {
        float(reader.account.unfinished)
    }));
    each(Family::gauge("hook_parked_events", "Events parked, as Redis has them").each(
        readers.iter().filter_map(|(id, host, reader)| Some((id, host, reader.parked?))),
        |family, (id, host, parked)| family.count(&[("hook", id), ("host", host)], parked),
    ));
    each(counter("hook_events_total", "Events accepted for the hook, by what became of them", "outcome", &|reader| {
        let account = &reader.account;
        vec![
            ("matched", account.matched),
            ("delivered", account.delivered),
            ("parked", account.parked),
            ("unsent", account.unsent),
        ]
    }));
    each(counter("hook_dropped_events_total", "Events dropped, by reason", "reason", &|reader| {
        let account = &reader.account;
        vec![("overflow", account.overflowed), ("redis_lost", account.redis_lost), ("hook_gone", account.hook_gone)]
    }));
    each(counter("hook_attempts_total", "Callbacks tried, by the class of the answer", "answer", &|reader| {
        reader.calls.attempts.iter().map(|(class, count)| (*class, *count)).collect()
    }));
    each(Family::gauge("hook_state", "The state that the hook is in: 1 for that one").each(
        readers.iter().flat_map(|reader| Standing::ALL.map(|state| (reader, state))),
        |family, ((id, host, reader), state)| {
            let is = reader.calls.standing == state;
            family.count(&[("hook", id), ("host", host), ("state", state.name())], is.into())
        },
    ));
    let mut latency =
        Family::new(MetricType::HISTOGRAM, "hook_delivery_seconds", "Time from an event's acceptance to its delivery");
    for (id, host, reader) in &readers {
        let mut metric = labelled(&[("hook", id), ("host", host)]);
        metric.set_histogram(histogram(&reader.calls.latency));
        latency.metrics.push(metric);
    }
    each(latency);
}

#[allow(clippy::cast_precision_loss, reason = "a metric is a floating-point number")]
fn float(value: u64) -> f64 {
    value as f64
}

fn histogram(latency: &Latency) -> Histogram {
    let mut histogram = Histogram::default();
    let mut count = 0;
    let bucket = |(bound_ms, in_bucket): (&u64, &u64)| {
        count += in_bucket;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(float(*bound_ms) / 1000.0);
        bucket.set_cumulative_count(count);
        bucket
    };
    histogram.set_bucket(LATENCY_BOUNDS_MS.iter().zip(&latency.buckets).map(bucket).collect());
    histogram.set_sample_count(latency.buckets.iter().sum());
    histogram.set_sample_sum(float(latency.sum_ms) / 1000.0);
    histogram
}

fn by_event<'a>(
    module: &'a str,
    counts: &'a HashMap<EventId, u64>,
) -> impl Iterator<Item = ((&'a EventId, &'a str), u64)> {
    counts.iter().map(move |(event, count)| ((event, module), *count))
}

/// Series of the same labels are one: hooks may share a URL but for its query.
fn summed<K: Ord>(series: impl Iterator<Item = (K, u64)>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for (labels, count) in series {
        *sums.entry(labels).or_default() += count;
    }
    sums
}
