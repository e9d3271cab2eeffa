//! Compiles the C shim against PHP's headers and links PHP's library.
//!
//! `PHP_CONFIG` names another php-config than Debian's for PHP 8.2. When headers or library are missing, the build ends with
//! the command that installs them.

use std::error::Error;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=PHP_CONFIG");
    println!("cargo:rerun-if-changed=shim");
    let program = std::env::var("PHP_CONFIG").unwrap_or_else(|_| "php-config8.2".to_owned());

    let version = ask(&program, "--version")?;
    let series: String = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let hint = |package: &str| {
        format!(
            "{package} of PHP {series} is missing: apt-get install libphp{series}-embed php{series}-dev"
        )
    };

    let includes = ask(&program, "--includes")?;
    let directories: Vec<_> = includes
        .split_whitespace()
        .filter_map(|flag| flag.strip_prefix("-I"))
        .collect();
    if !directories
        .iter()
        .any(|directory| Path::new(directory).join("SAPI.h").exists())
    {
        return Err(hint("header SAPI.h").into());
    }
    let library_directory = Path::new(&ask(&program, "--prefix")?).join("lib");
    let file_name = format!("libphp{series}.so");
    if !library_directory.join(&file_name).exists() {
        return Err(hint(&format!("library {file_name}")).into());
    }
    println!("cargo:rustc-env=HOSTEL_PHP_LIBRARY={file_name}");

    // PHP's own headers do not pass the stricter warnings, so they count as the system's.
    let mut build = cc::Build::new();
    for directory in &directories {
        build.flag("-isystem").flag(directory);
    }
    build
        .file("shim/random.c")
        .file("shim/rare.c")
        .file("shim/shim.c")
        .file("shim/chunks.c")
        .file("shim/warm.c")
        .warnings(true)
        .extra_warnings(true)
        .try_compile("hostel_shim")?;

    println!(
        "cargo:rustc-link-search=native={}",
        library_directory.display()
    );
    println!("cargo:rustc-link-lib=dylib=php{series}");
    Ok(())
}

/// One answer of php-config.
fn ask(program: &str, option: &str) -> Result<String, Box<dyn Error>> {
    let answer = Command::new(program).arg(option).output().map_err(|error| {
        format!(
            "cannot run {program} {option}: {error}; apt-get install libphp8.2-embed php8.2-dev, or name another php-config in PHP_CONFIG"
        )
    })?;
    if !answer.status.success() {
        return Err(format!("{program} {option} failed: {}", answer.status).into());
    }
    Ok(String::from_utf8(answer.stdout)?.trim().to_owned())
}
