//! The table that comes of it, in Markdown.

use std::collections::BTreeMap;
use std::fmt;

use crate::daemon::Program;
use crate::scenarios::Scenario;

/// A figure of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Rate,
    Cpu,
    P50,
    P99,
    Idle,
    Peak,
    RedisCpu,
    Subscribed,
    First,
    Lost,
    Repeated,
    OutOfOrder,
}

impl Column {
    const ALL: [Self; 12] = [
        Self::Rate,
        Self::Cpu,
        Self::P50,
        Self::P99,
        Self::Idle,
        Self::Peak,
        Self::RedisCpu,
        Self::Subscribed,
        Self::First,
        Self::Lost,
        Self::Repeated,
        Self::OutOfOrder,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Rate => "a second",
            Self::Cpu => "CPU µs each",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::Idle => "MiB idle",
            Self::Peak => "MiB at most",
            Self::RedisCpu => "Redis µs an event",
            Self::Subscribed => "subscribed ms",
            Self::First => "first delivery ms",
            Self::Lost => "lost",
            Self::Repeated => "twice",
            Self::OutOfOrder => "out of order",
        }
    }

    /// Digits after the point.
    const fn precision(self) -> usize {
        match self {
            Self::Cpu | Self::P50 | Self::P99 | Self::RedisCpu => 1,
            _ => 0,
        }
    }
}

/// What a scenario came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(BTreeMap<Column, f64>);

impl Figures {
    pub(crate) fn set(&mut self, column: Column, value: f64) {
        self.0.insert(column, value);
    }
}

/// A row for each scenario and program: the median of its runs.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    scenario: &'static str,
    program: String,
    runs: Vec<Figures>,
}

impl Table {
    pub(crate) fn add(&mut self, scenario: &Scenario, program: &Program, figures: Figures) {
        let of_both = |row: &&mut Row| row.scenario == scenario.what && row.program == program.name;
        match self.rows.iter_mut().find(of_both) {
            Some(row) => row.runs.push(figures),
            None => {
                self.rows.push(Row { scenario: scenario.what, program: program.name.clone(), runs: vec![figures] });
            }
        }
    }
}

impl Row {
    fn median(&self, column: Column) -> Option<f64> {
        let mut values: Vec<f64> = self.runs.iter().filter_map(|run| run.0.get(&column).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<Column> = Column::ALL
            .into_iter()
            .filter(|column| self.rows.iter().any(|row| row.median(*column).is_some()))
            .collect();
        write!(f, "| scenario | daemon |")?;
        columns.iter().try_for_each(|column| write!(f, " {} |", column.name()))?;
        write!(f, "\n|---|---|")?;
        columns.iter().try_for_each(|_| write!(f, "---:|"))?;
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "| {} | {} |", row.scenario, row.program)?;
            for column in &columns {
                match row.median(*column) {
                    Some(value) => write!(f, " {value:.*} |", column.precision())?,
                    None => write!(f, " |")?,
                }
            }
            writeln!(f)?;
        }
        for pair in self.rows.windows(2).filter(|pair| pair[0].scenario == pair[1].scenario) {
            write!(f, "| {} | {} : {} |", pair[0].scenario, pair[0].program, pair[1].program)?;
            for column in &columns {
                match (pair[0].median(*column), pair[1].median(*column)) {
                    (Some(one), Some(other)) if other > 0.0 => write!(f, " {:.3} |", one / other)?,
                    _ => write!(f, " |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
