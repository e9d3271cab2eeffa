//! The project's own rules, as far as a program can tell: where `unsafe` may be, who links what, how long a file may be,
//! that documents name what exists and examples are right.

mod documents;
mod examples;
mod links;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use crate::docs;
use crate::run::{Failure, Result, Tried, repository};

/// Every rule; all complaints together.
pub(crate) fn run() -> Result<()> {
    let root = repository();
    let mut complaints = sources::check(&root)?;
    complaints.extend(links::check(&root)?);
    complaints.extend(documents::check(&root)?);
    complaints.extend(examples::check(&root)?);
    if let Err(Failure(why)) = docs::check() {
        complaints.push(why);
    }
    if complaints.is_empty() {
        println!("tidy: fine");
        return Ok(());
    }
    Err(Failure(format!("tidy:\n  {}", complaints.join("\n  "))))
}

/// Every file beneath a directory whose name has this ending, by path; build directories are passed over.
pub(crate) fn files(directory: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).tried(directory.display())? {
            let entry = entry.tried(directory.display())?;
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().tried(path.display())?;
            if kind.is_dir() && name != "target" && name != ".git" {
                left.push(path);
            } else if kind.is_file() && name.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).tried(path.display())
}

/// As complaints name it.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}
