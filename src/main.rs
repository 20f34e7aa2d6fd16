//! Nothing yet: the rooms come first.
fn main() {}
