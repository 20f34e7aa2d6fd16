//! Programs in other languages: the examples, as processes of their own.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The folder of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program in the path. Where it is missing, the test that needs it has to be left out, unless `NEED_EVERY_LANGUAGE` is set, as it
/// is by `./test.sh`: then the test fails.
pub(crate) fn interpreter(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("NEED_EVERY_LANGUAGE").is_none(), "{name} is needed; ./test.sh installs it");
        println!("not tested: there is no {name} here; ./test.sh installs it");
    }
    found
}

/// A command with an environment of `PATH` and nothing else.
pub(crate) fn clean(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"));
    command
}

/// An example of this project, built if it is not: its program.
pub(crate) fn example(name: &str) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--example", name]).current_dir(project());
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().and_then(Path::parent).expect("tests are in target/PROFILE/deps").to_owned();
    if folder.ends_with("release") {
        build.arg("--release");
    }
    build.env("CARGO_TARGET_DIR", folder.parent().expect("a profile has a folder of its own"));
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    folder.join("examples").join(name)
}
