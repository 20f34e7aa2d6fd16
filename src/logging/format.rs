//! What a line of the log looks like: text, text for the journal, JSON.

use std::fmt;
use std::time::SystemTime;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Format;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::registry::LookupSpan;

/// Before a line, how severe it is, as the journal takes it off again and files the line by it.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// Text without colours, one line whatever is in it.
#[derive(Debug, Default)]
pub(super) struct OneLine {
    for_the_journal: bool,
}

impl OneLine {
    /// The journal has a time of its own for each line, and a priority.
    pub(super) fn for_the_journal() -> Self {
        Self { for_the_journal: true }
    }
}

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        let writer = Writer::new(&mut line);
        if self.for_the_journal {
            to.write_str(priority(*event.metadata().level()))?;
            Format::default().without_time().format_event(context, writer, event)?;
        } else {
            Format::default().format_event(context, writer, event)?;
        }
        writeln!(to, "{}", line.trim().replace('\n', "\\n").replace('\r', "\\r"))
    }
}

/// A JSON object: `time`, `level`, `target`, `message`, and the rest in `fields`, so that none of them is ever taken for one
/// of the others.
#[derive(Debug)]
pub(super) struct Json {
    /// Whether to put the priority before it, which the journal takes off again.
    pub(super) for_the_journal: bool,
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if self.for_the_journal {
            to.write_str(priority(*metadata.level()))?;
        }
        let mut seen = Seen::default();
        event.record(&mut seen);
        let mut line = json!({
            "time": humantime::format_rfc3339_micros(SystemTime::now()).to_string(),
            "level": metadata.level().as_str().to_ascii_lowercase(),
            "target": metadata.target(),
            "message": seen.message,
        });
        if !seen.fields.is_empty() {
            line["fields"] = Value::Object(seen.fields);
        }
        writeln!(to, "{line}")
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Seen {
    message: String,
    fields: Map<String, Value>,
}

impl Seen {
    fn field(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.field(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.field(field, value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        // Numbers of JSON end here.
        self.field(field, u64::try_from(value).unwrap_or(u64::MAX));
    }
}
