//! What the directives of php-fpm mean here that are neither carried over nor looked at one by one.

use super::super::ledger::List::{self, NotNeeded, NotSupported};

/// Of `[global]`.
pub(crate) fn global(key: &str) -> Option<(List, &'static str)> {
    Some(match key {
        "pid" | "daemonize" | "systemd_interval" => (
            NotNeeded,
            "the server stays in the foreground, and its monitor is what is watched",
        ),
        "error_log" | "syslog.facility" | "syslog.ident" | "log_level" | "log_limit"
        | "log_buffering" => (
            NotNeeded,
            "the server has a log of its own: 'logs' and 'log_level' in hostel.toml",
        ),
        "emergency_restart_threshold" | "emergency_restart_interval" => (
            NotNeeded,
            "each site has a PHP of its own, which is started anew when it dies",
        ),
        "process_control_timeout" => (
            NotNeeded,
            "running requests are finished at a reload and at the end",
        ),
        "process.max" => (NotNeeded, "the number of workers is found, not set"),
        "process.priority" => (
            NotSupported,
            "sites share the processor by 'cpu_weight'; set it where one matters more",
        ),
        "rlimit_files" | "rlimit_core" => (NotNeeded, "limits are set for each site's sandbox"),
        "events.mechanism" => (NotNeeded, "there is nothing to choose"),
        "proctitle_prefix" => (
            NotNeeded,
            "processes are named after their program; hostel status has their sites",
        ),
        _ => return None,
    })
}

/// Of a pool.
pub(crate) fn pool(key: &str, value: &str) -> Option<(List, &'static str)> {
    of_processes(key, value).or_else(|| of_requests(key, value))
}

/// Sockets and processes.
fn of_processes(key: &str, value: &str) -> Option<(List, &'static str)> {
    Some(match key {
        "prefix" => (NotNeeded, "paths are whole in a site's file"),
        "listen" => (NotNeeded, "workers are reached over sockets without a name"),
        "listen.backlog"
        | "listen.owner"
        | "listen.group"
        | "listen.mode"
        | "listen.acl_users"
        | "listen.acl_groups"
        | "listen.allowed_clients"
        | "listen.setfib" => (NotNeeded, "no socket has a name that somebody could open"),
        "process.priority" => (
            NotSupported,
            "sites share the processor by 'cpu_weight'; set it where this one matters more or less",
        ),
        "process.dumpable" if is_on(value) => {
            (NotSupported, "no process of a site can be dumped or traced")
        }
        "process.dumpable" => (NotNeeded, "no process of a site can be dumped or traced"),
        "pm"
        | "pm.start_servers"
        | "pm.min_spare_servers"
        | "pm.max_spare_servers"
        | "pm.max_spawn_rate" => (NotNeeded, "the number of workers is found, not set"),
        "pm.max_children" => (
            NotNeeded,
            "the number of workers is found, not set; 'workers_max' bounds it where something else needs the bound",
        ),
        "pm.process_idle_timeout" => (NotNeeded, "idle workers end by themselves ('idle_seconds')"),
        "pm.max_requests" => (
            NotNeeded,
            "workers that grow are replaced by themselves ('requests_per_worker')",
        ),
        "pm.status_path" | "pm.status_listen" | "ping.path" | "ping.response" => {
            (NotNeeded, "hostel status tells it, and no visitor can ask")
        }
        "access.log" => (NotNeeded, "each site has an access.log"),
        _ => return None,
    })
}

/// Requests, logs, environment.
fn of_requests(key: &str, value: &str) -> Option<(List, &'static str)> {
    Some(match key {
        "access.format" | "access.suppress_path" => {
            (NotSupported, "the form of access.log is fixed")
        }
        "slowlog" | "request_slowlog_timeout" | "request_slowlog_trace_depth" => {
            (NotSupported, "there is no log of slow requests")
        }
        "request_terminate_timeout_track_finished" => (
            NotSupported,
            "'request_seconds_max' is the only bound on a request",
        ),
        "rlimit_files" => (
            NotNeeded,
            "the limit of open files is set for each site's sandbox",
        ),
        "rlimit_core" => (NotNeeded, "no process of a site writes a core dump"),
        "chroot" => (
            NotSupported,
            "a site sees its home alone, but at the path that it has on the host: paths in its files that begin at the chroot must be changed",
        ),
        "chdir" => (NotNeeded, "PHP changes to the directory of the script"),
        "catch_workers_output" | "decorate_workers_output" => (
            NotNeeded,
            "what PHP writes to standard error is in the site's error.log",
        ),
        "clear_env" if is_on(value) => (
            NotNeeded,
            "nothing of the server's environment reaches a site",
        ),
        "clear_env" => (
            NotSupported,
            "nothing of the server's environment reaches a site; put what it needs into the application's own configuration",
        ),
        "security.limit_extensions" => (
            NotNeeded,
            "files with other extensions than 'script_extensions' are never run",
        ),
        "apparmor_hat" => (
            NotSupported,
            "each site has a sandbox of namespaces, Landlock and seccomp; there is no AppArmor profile to change into",
        ),
        _ => return None,
    })
}

/// Variables that every site has, or that mean what it has of its own.
pub(crate) fn environment(name: &str) -> (List, &'static str) {
    match name {
        "PATH" | "HOSTNAME" | "HOME" | "USER" | "LANG" | "LC_ALL" => {
            (NotNeeded, "a site has the usual environment")
        }
        "TMP" | "TEMP" | "TMPDIR" => (NotNeeded, "a site has a /tmp of its own"),
        _ => (
            NotSupported,
            "a site has no environment variables of its own; put this into the application's configuration (.env, config.php)",
        ),
    }
}

/// How php-fpm reads a switch.
pub(crate) fn is_on(value: &str) -> bool {
    ["1", "on", "yes", "true"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

/// Seconds, as php-fpm and nginx write them: a number, or numbers with a unit.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match rest[..end].trim() {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            "ms" => {
                rest = &rest[end..];
                total = total.checked_add(number.div_ceil(1000))?;
                continue;
            }
            _ => return None,
        };
        rest = &rest[end..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_with_their_units() {
        for (text, expected) in [
            ("30", 30),
            ("30s", 30),
            ("5m", 300),
            ("1h 30m", 5400),
            ("1500ms", 2),
            ("0", 0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["x", "1y", "-1", "99999999999999999999"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn every_directive_of_the_manual_is_known() {
        for key in [
            "pid",
            "error_log",
            "syslog.facility",
            "syslog.ident",
            "log_level",
            "log_limit",
            "log_buffering",
            "emergency_restart_threshold",
            "emergency_restart_interval",
            "process_control_timeout",
            "process.max",
            "process.priority",
            "daemonize",
            "rlimit_files",
            "rlimit_core",
            "events.mechanism",
            "systemd_interval",
            "proctitle_prefix",
        ] {
            assert!(global(key).is_some(), "{key}");
        }
        // `user`, `group`, `request_terminate_timeout`, `env` and `php_…` are looked at one by one.
        for key in [
            "prefix",
            "listen",
            "listen.backlog",
            "listen.owner",
            "listen.group",
            "listen.mode",
            "listen.acl_users",
            "listen.acl_groups",
            "listen.allowed_clients",
            "listen.setfib",
            "process.priority",
            "process.dumpable",
            "pm",
            "pm.max_children",
            "pm.start_servers",
            "pm.min_spare_servers",
            "pm.max_spare_servers",
            "pm.max_spawn_rate",
            "pm.process_idle_timeout",
            "pm.max_requests",
            "pm.status_path",
            "pm.status_listen",
            "ping.path",
            "ping.response",
            "access.log",
            "access.format",
            "access.suppress_path",
            "slowlog",
            "request_slowlog_timeout",
            "request_slowlog_trace_depth",
            "request_terminate_timeout_track_finished",
            "rlimit_files",
            "rlimit_core",
            "chroot",
            "chdir",
            "catch_workers_output",
            "decorate_workers_output",
            "clear_env",
            "security.limit_extensions",
            "apparmor_hat",
        ] {
            assert!(pool(key, "1").is_some(), "{key}");
        }
    }
}
