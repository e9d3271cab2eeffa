//! `hostel firewall`: show, put in force and remove the rules of who may connect where, from this host and to it.
//!
//! Where sites may connect to is the running server's business, which keeps that table in force itself; here it is only put
//! in force where no server does. Which ports are open to others is in force only when an administrator says so, here.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use hostel_config::{Destination, Egress, Errors, Host, Server, Site, SystemUsers};
use hostel_firewall::in_force::{ApplyError, InForce, Network, remove_stand_ins};
use hostel_firewall::kernel::Kernel;
use hostel_firewall::{Table, egress, elements, inbound, nameservers, nft};
use hostel_sys::cred::Uid;
use serde_json::{Value, json};

use crate::output;

/// What to do with the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Action {
    /// Show them, in words; with --json, as nft takes them
    Print,
    /// Put them in force: from now on only Hostel's ports and `open_ports` are open
    Apply,
    /// Open all ports again
    Remove,
}

/// How.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// What to do
    #[arg(value_enum, default_value_t = Action::Print)]
    action: Action,
    /// Print one JSON document instead
    #[arg(long)]
    json: bool,
    /// Change nothing; only ask nft and the kernel whether they would take the rules
    #[arg(long)]
    dry_run: bool,
    /// Apply even if the port of the ssh connection that this is typed in gets closed
    #[arg(long)]
    close_my_ssh: bool,
}

#[derive(Debug, thiserror::Error)]
enum FirewallError {
    #[error("{0}")]
    Configuration(Errors),
    #[error("only root can change rules\n  hint: sudo hostel firewall …")]
    NotRoot,
    #[error(
        "port {0}, by which this ssh connection came, would be closed\n  hint: add it to 'open_ports' in hostel.toml, or say --close-my-ssh"
    )]
    Ssh(u16),
    #[error("table {table}: {source}")]
    Apply { table: String, source: ApplyError },
}

/// A table, what would be put in force, and what becomes of it.
struct Step<'s> {
    table: Table,
    rules: Value,
    deed: Deed<'s>,
    words: &'static str,
}

/// How a table comes to be as it should be, from whatever an earlier run has left.
enum Deed<'s> {
    /// By its rules alone.
    Rules,
    /// What differs between these sites is in the table too.
    OfSites(&'s Server),
    /// It goes, with what held in its place while it was made.
    Removal,
}

/// Status 0 if all was done, 1 otherwise.
pub(crate) fn run(config: &Path, options: Options) -> ExitCode {
    let done = hostel_config::load(config, &SystemUsers::read())
        .map_err(FirewallError::Configuration)
        .and_then(|server| match options.action {
            Action::Print => {
                print(&server, options.json);
                Ok(())
            }
            Action::Apply => apply(&server, options),
            Action::Remove => change(&removal(&server)?, options),
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&format!("hostel firewall: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn apply(server: &Server, options: Options) -> Result<(), FirewallError> {
    root()?;
    let is_open = |port: &u16| {
        server.open_ports.contains(port) || server.http.iter().any(|own| own.port() == *port)
    };
    if let Some(port) = ssh_port().filter(|port| !is_open(port))
        && !options.close_my_ssh
    {
        return Err(FirewallError::Ssh(port));
    }
    let mut steps = vec![inbound_step(server)];
    // One that is there without a server may be half made, by a run that was killed.
    if !is_running(server) {
        let table = Table::egress(&server.run);
        steps.push(Step {
            rules: egress::rules(&table, &server.http),
            table,
            deed: Deed::OfSites(server),
            words: "in force until a server starts and ends; names in it are looked up while one runs",
        });
    }
    change(&steps, options)
}

fn inbound_step(server: &Server) -> Step<'_> {
    let table = Table::inbound(&server.run);
    Step {
        rules: inbound::rules(&table, &server.http, &server.open_ports),
        table,
        deed: Deed::Rules,
        words: "in force until it is removed or this host restarts",
    }
}

fn removal(server: &Server) -> Result<Vec<Step<'_>>, FirewallError> {
    root()?;
    let step = |table: Table| Step {
        rules: table.removal(),
        table,
        deed: Deed::Removal,
        words: "removed",
    };
    let mut steps = vec![step(Table::inbound(&server.run))];
    // What a running server needs stays.
    if !is_running(server) {
        steps.push(step(Table::egress(&server.run)));
    }
    Ok(steps)
}

/// Whether a server keeps the table of its sites in force itself.
fn is_running(server: &Server) -> bool {
    UnixStream::connect(server.run.join("status.sock")).is_ok()
}

fn change(steps: &[Step<'_>], options: Options) -> Result<(), FirewallError> {
    for step in steps {
        let outcome = match &step.deed {
            _ if options.dry_run => nft::check(&step.rules).map_err(ApplyError::from),
            Deed::Rules => nft::apply(&step.rules).map_err(ApplyError::from),
            Deed::Removal => nft::apply(&step.rules)
                .map_err(ApplyError::from)
                .and_then(|()| remove_stand_ins(&step.table, &mut Kernel::default())),
            Deed::OfSites(server) => {
                let network = Network {
                    nameservers: &host_nameservers(),
                    granted: &[],
                };
                let elements = elements::of_policy(&server.egress());
                InForce::new(step.table.clone()).apply(&server.http, elements, network)
            }
        };
        outcome.map_err(|source| FirewallError::Apply {
            table: step.table.to_string(),
            source,
        })?;
        if !options.json {
            let words = match options.dry_run {
                true => "nothing was changed; it would be ",
                false => "",
            };
            output::line(&format!("table inet {}: {words}{}", step.table, step.words));
        }
    }
    if options.json {
        let table = |step: &Step<'_>| json!({"table": step.table.name(), "outcome": step.words});
        let tables: Vec<Value> = steps.iter().map(table).collect();
        output::json(&json!({"dry_run": options.dry_run, "tables": tables}));
    }
    Ok(())
}

fn root() -> Result<(), FirewallError> {
    match Uid::effective() {
        Uid::ROOT => Ok(()),
        _ => Err(FirewallError::NotRoot),
    }
}

/// What the running server has in force, as far as that can be known here: names are not looked up.
fn egress_rules(server: &Server) -> Value {
    let mut all = elements::of_policy(&server.egress());
    all.extend(elements::of_network(&host_nameservers(), &[]));
    egress::shown(&Table::egress(&server.run), &server.http, &all)
}

fn host_nameservers() -> Vec<IpAddr> {
    nameservers::of(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

/// The port of this host by which the ssh connection came in which this is typed: sshd tells its children, and sudo forgets.
fn ssh_port() -> Option<u16> {
    let mut pid = std::process::id();
    for _ in 0..ANCESTORS_MAX {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        if let Some(value) = variables.find_map(|line| line.strip_prefix(b"SSH_CONNECTION=")) {
            return port_of(&String::from_utf8_lossy(value));
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        pid = parent.trim().parse().ok().filter(|parent| *parent > 0)?;
    }
    None
}

/// Of "address port address port", the last.
fn port_of(connection: &str) -> Option<u16> {
    connection.split_whitespace().nth(3)?.parse().ok()
}

fn print(server: &Server, as_json: bool) {
    if as_json {
        let inbound = inbound_step(server).rules;
        let both = [egress_rules(server), inbound];
        let commands = both
            .iter()
            .flat_map(|rules| rules["nftables"].as_array().into_iter().flatten());
        return output::json(&json!({"nftables": commands.collect::<Vec<_>>()}));
    }
    output::line(&format!(
        "Where sites may connect to (table inet {}, in force while the server runs):\n",
        Table::egress(&server.run)
    ));
    let mut users = BTreeMap::<&str, Vec<&str>>::new();
    for site in &server.sites {
        users.entry(&site.user.name).or_default().push(&site.name);
    }
    let mut rows = vec![
        ["SITE", "USER", "ELSEWHERE", "ON THIS HOST"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(server.sites.iter().map(|site| {
        let [elsewhere, here] = in_words(site, &server.http);
        vec![site.name.clone(), site.user.name.clone(), elsewhere, here]
    }));
    output::table(&rows);
    for (user, sites) in users.into_iter().filter(|(_, sites)| sites.len() > 1) {
        output::line(&format!(
            "\n{} have one user, {user}: each may connect to what any of them may.",
            sites.join(" and ")
        ));
    }
    output::line(
        "\nWhat a site listens on is closed to everybody else. Root, the front and all other users are not concerned.",
    );
    output::line(&format!(
        "\nOpen to others (table inet {}, in force after `hostel firewall apply`):\n",
        Table::inbound(&server.run)
    ));
    let ports: Vec<String> = server.open_ports.iter().map(u16::to_string).collect();
    output::line(&format!("  Hostel: {}", addresses(&server.http)));
    output::line(&format!(
        "  open_ports: {}",
        either(ports.join(", "), "none")
    ));
    output::line(
        "  and what keeps a network working: answers, ICMP, neighbours, DHCP. All else is closed.",
    );
}

/// Elsewhere, and on this host.
fn in_words(site: &Site, own: &[SocketAddr]) -> [String; 2] {
    let mut here = Vec::new();
    let elsewhere = match &site.egress {
        Egress::Usual => "all, but mail servers (port 25) and cloud metadata".to_owned(),
        Egress::All => "all, but cloud metadata".to_owned(),
        Egress::None => "nothing".to_owned(),
        Egress::Listed(places) => either(
            places.iter().map(place).collect::<Vec<_>>().join(", "),
            "nothing",
        ),
    };
    match &site.egress {
        Egress::Usual | Egress::All => {
            let ports = egress::DATABASES.map(|port| port.to_string());
            here.push(format!("DNS, databases ({})", ports.join(", ")));
        }
        Egress::None | Egress::Listed(_) => {}
    }
    here.push(format!("Hostel ({})", addresses(own)));
    if !site.services.is_empty() {
        here.push(addresses(&site.services));
    }
    [elsewhere, here.join(", ")]
}

fn place(place: &Destination) -> String {
    match &place.host {
        Host::Address(address) => SocketAddr::new(*address, place.port).to_string(),
        Host::Name(name) => format!("{name}:{}", place.port),
    }
}

fn addresses(sockets: &[SocketAddr]) -> String {
    let texts: Vec<String> = sockets.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn either(text: String, empty: &str) -> String {
    if text.is_empty() {
        empty.to_owned()
    } else {
        text
    }
}

/// From this process to a login there are few.
const ANCESTORS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_an_ssh_connection_is_this_hosts() {
        assert_eq!(port_of("192.0.2.7 50123 192.0.2.1 2222"), Some(2222));
        assert_eq!(port_of("2001:db8::7 50123 2001:db8::1 22\n"), Some(22));
        assert_eq!(port_of("192.0.2.7"), None);
    }
}
