//! Measures a whole daemon: real Redis, real receivers, real HTTP, on this machine. It prints one table.
//!
//! ```text
//! cargo bench --bench daemon                                            this daemon
//! cargo bench --bench daemon -- --only latency --only start            some of it
//! cargo bench --bench daemon -- --against "node app.js" --in FOLDER    another daemon beside it, scenario by scenario
//! ```
//!
//! Both daemons get the same environment, on a Redis of their own; whatever a scenario needs of the machine, the other had just
//! as well a moment before. What is lost, comes twice or out of order is counted: speed bought with that is none.

mod daemon;
mod load;
mod meter;
#[path = "../../examples/demo/processes.rs"]
mod processes;
mod receiver;
mod redis;
mod scenarios;
mod table;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

use crate::daemon::Program;
use crate::scenarios::Scenario;
use crate::table::Table;

/// Measures whole daemons.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this scenario; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Shows the scenarios, and runs none.
    #[arg(long)]
    list: bool,
    /// A tenth of the load: to see that it runs, not to quote it.
    #[arg(long)]
    quick: bool,
    /// Runs each scenario so often, and shows the median.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    repeat: u8,
    /// The command of another daemon to run beside this one.
    #[arg(long, value_name = "COMMAND")]
    against: Option<String>,
    /// The folder that it runs in.
    #[arg(long = "in", value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// What `cargo bench` says to all benchmarks.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let asked = Arguments::parse();
    // The client of the API wants one, although nothing here is encrypted.
    let crypto = rustls::crypto::ring::default_provider();
    crypto.install_default().ok().context("TLS was set up twice")?;
    let scenarios: Vec<&Scenario> = match asked.only.as_slice() {
        [] => scenarios::ALL.iter().collect(),
        names => names.iter().map(|name| Scenario::named(name)).collect::<Result<_, _>>()?,
    };
    if asked.list {
        scenarios.iter().for_each(|scenario| println!("{:<12} {}", scenario.name, scenario.what));
        return Ok(());
    }
    let mut programs = vec![Program::ours()];
    if let Some(command) = &asked.against {
        programs.push(Program::other(command, &asked.folder)?);
    }
    let mut table = Table::default();
    for scenario in scenarios {
        // In turns: a machine that got warm or busy in between did so for both.
        for _ in 0..asked.repeat {
            for program in &programs {
                eprintln!("{}: {} ...", scenario.name, program.name);
                let figures = (scenario.run)(program, asked.quick).await;
                let figures = figures.with_context(|| format!("{} with {}", scenario.name, program.name))?;
                table.add(scenario, program, figures);
            }
        }
    }
    print!("{table}");
    Ok(())
}
