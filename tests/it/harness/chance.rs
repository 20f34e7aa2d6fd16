//! Chance that can be had again.

/// Random numbers for a test called `name`. Their seed is printed, and can be given by the environment variable `CHAOS_SEED`.
pub(crate) fn chance(name: &str) -> fastrand::Rng {
    let given = std::env::var("CHAOS_SEED").ok().map(|seed| seed.parse().expect("CHAOS_SEED is a number"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("{name}: CHAOS_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
