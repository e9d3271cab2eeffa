//! `hostel documents`: the manual pages and the completions of shells, made of the definitions in `arguments`.
//!
//! Run where a package is built, by anybody. It writes into one directory and reads nothing.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};

use crate::arguments::Arguments;
use crate::output;

/// Status 0 if all of them are written.
pub(crate) fn run(directory: &Path) -> ExitCode {
    match write(directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let place = directory.display();
            output::error(&format!(
                "hostel documents: cannot write into {place}: {error}\n  hint: the directory must exist"
            ));
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut offered(), NAME, directory)?;
    }
    clap_mangen::generate_to(Arguments::command(), directory)
}

/// What a shell should offer: no hidden command. Manual pages leave those out by themselves.
fn offered() -> Command {
    let all = Arguments::command();
    let commands = all.get_subcommands().filter(|one| !one.is_hide_set());
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments().cloned())
        .subcommands(commands.cloned())
}

const NAME: &str = "hostel";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_shown_command_is_documented_and_no_hidden_one() {
        let directory = std::env::temp_dir().join(format!("hostel-pages-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let written = write(&directory);
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        let completions = read("hostel.bash");
        for command in Arguments::command().get_subcommands() {
            let (name, is_shown) = (command.get_name(), !command.is_hide_set());
            let page = directory.join(format!("hostel-{name}.1"));
            assert_eq!(page.exists(), is_shown, "{}", page.display());
            let case = format!("hostel,{name})");
            assert_eq!(completions.contains(&case), is_shown, "{name}");
        }
        for shell in ["_hostel", "hostel.fish"] {
            assert!(read(shell).contains("audit") && !read(shell).contains("audit-walk"));
        }
        assert!(read("hostel.1").contains("/etc/hostel/hostel.toml"));
        fs::remove_dir_all(&directory).unwrap();
        written.unwrap();
    }
}
