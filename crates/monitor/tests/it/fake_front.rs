//! A front that remembers what it is told and does what it is told on its listening port, one command per connection.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use hostel_sys::child::inherited_descriptor;
use hostel_sys::cred::prove_dropped;
use hostel_sys::fdpass::{receive, send};
use hostel_wire::front_monitor::{Opened, SiteId, ToFront, ToMonitor};
use rustix::event::{PollFd, PollFlags, poll};

/// Everything that the monitor has said, one word or two for each message, and the descriptors.
struct FakeFront {
    monitor: OwnedFd,
    listener: Option<TcpListener>,
    heard: Vec<String>,
    logs: Vec<(u32, File)>,
    keepers: Vec<(u32, OwnedFd)>,
    tried: Vec<SiteId>,
    is_begun: bool,
    is_silent: bool,
}

pub(crate) fn run() {
    prove_dropped().unwrap();
    let mut front = FakeFront {
        monitor: inherited_descriptor(3).unwrap(),
        listener: None,
        heard: Vec::new(),
        logs: Vec::new(),
        keepers: Vec::new(),
        tried: Vec::new(),
        is_begun: false,
        is_silent: false,
    };
    loop {
        let mut polled = vec![PollFd::new(&front.monitor, PollFlags::IN)];
        if let Some(listener) = &front.listener {
            polled.push(PollFd::new(listener, PollFlags::IN));
        }
        poll(&mut polled, None).unwrap();
        let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        if ready[0] {
            front.hear();
        }
        if ready.get(1) == Some(&true) {
            let accepted = front.listener.as_ref().unwrap().accept();
            if let Ok((stream, _)) = accepted {
                front.obey(stream);
            }
        }
    }
}

impl FakeFront {
    fn hear(&mut self) {
        let mut buffer = vec![0; 1 << 16];
        let received = match receive(&self.monitor, &mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        };
        if received.bytes == 0 {
            std::process::exit(0);
        }
        let message = ToFront::decode(&buffer[..received.bytes]).unwrap();
        assert_eq!(received.descriptors.len(), message.descriptors());
        let mut descriptors = received.descriptors.into_iter();
        match message {
            ToFront::Settings(settings) => self.note(format!("settings {}", settings.log_level)),
            ToFront::Descriptor(opened) => {
                self.note(format!("descriptor {opened:?}"));
                if opened == Opened::HttpListener {
                    self.listener = descriptors.next().map(TcpListener::from);
                }
            }
            ToFront::TableBegin => self.note("begin".to_owned()),
            ToFront::Sites(sites) => sites
                .iter()
                .for_each(|site| self.note(format!("site {} {}", site.id.0, site.name))),
            ToFront::Gone(ids) => ids
                .iter()
                .for_each(|id| self.note(format!("gone {}", id.0))),
            ToFront::TableEnd => {
                self.note("end".to_owned());
                let is_first = !std::mem::replace(&mut self.is_begun, true);
                self.say(match is_first {
                    true => ToMonitor::Ready,
                    false => ToMonitor::TableTaken,
                });
            }
            ToFront::SiteLogs { site } => {
                self.note(format!("logs {}", site.0));
                self.logs
                    .push((site.0, File::from(descriptors.next().unwrap())));
            }
            ToFront::Keeper { site, pid } => {
                self.note(format!("keeper {} {pid}", site.0));
                if self.tried.contains(&site) {
                    self.say(ToMonitor::SiteWorks(site));
                }
                self.keepers.push((site.0, descriptors.next().unwrap()));
            }
            ToFront::SiteDown {
                site,
                reason,
                retry_ms,
            } => self.note(format!("down {} {reason:?} {retry_ms}", site.0)),
            ToFront::JobsLog { site } => self.note(format!("jobs log {}", site.0)),
            ToFront::JobOutput { site, job } => self.note(format!("job {} {job}", site.0)),
            ToFront::SiteNotice { site, notice } => {
                self.note(format!("notice {} {notice:?}", site.0));
            }
            ToFront::Drain { .. } if self.is_silent => {}
            ToFront::Trial(sites) => {
                for site in sites {
                    self.note(format!("trial {} {}", site.id.0, site.name));
                    self.tried.push(site.id);
                    self.say(ToMonitor::WakeSite(site.id));
                }
            }
            ToFront::Drain { .. } | ToFront::Leave { .. } => {
                self.say(ToMonitor::Drained);
                std::process::exit(0);
            }
        }
    }

    fn note(&mut self, text: String) {
        self.heard.push(text);
    }

    fn say(&self, message: ToMonitor) {
        // A flood fills the socket; then the rest is left out.
        let _ = send(&self.monitor, &message.encode(), &[]);
    }

    fn obey(&mut self, stream: TcpStream) {
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut answer = String::from("done");
        match words[..] {
            ["heard"] => answer = self.heard.join("\n"),
            ["pid"] => answer = std::process::id().to_string(),
            ["wake", site] => self.say(ToMonitor::WakeSite(SiteId(site.parse().unwrap()))),
            ["replace", site] => {
                self.say(ToMonitor::ReplaceSite(SiteId(site.parse().unwrap())));
            }
            ["release", site] => self.say(ToMonitor::SiteReleased(SiteId(site.parse().unwrap()))),
            ["raw", bytes] => send(&self.monitor, bytes.as_bytes(), &[]).unwrap(),
            ["flood", count] => {
                for _ in 0..count.parse().unwrap() {
                    self.say(ToMonitor::WakeSite(SiteId(1)));
                }
            }
            ["hello", site] => answer = self.hello(site.parse().unwrap()),
            ["log", site, text] => self.log(site.parse().unwrap(), text),
            ["silent"] => self.is_silent = true,
            ["exit"] => std::process::exit(7),
            _ => panic!("no such command: {line}"),
        }
        (&stream).write_all(answer.as_bytes()).unwrap();
    }

    /// What the keeper of a site said to this front.
    fn hello(&self, site: u32) -> String {
        let (_, socket) = self.keepers.iter().rfind(|(id, _)| *id == site).unwrap();
        rustix::io::ioctl_fionbio(socket, false).unwrap();
        let mut buffer = [0; 100];
        let received = receive(socket, &mut buffer).unwrap();
        String::from_utf8(buffer[..received.bytes].to_vec()).unwrap()
    }

    fn log(&self, site: u32, text: &str) {
        let (_, file) = self.logs.iter().rfind(|(id, _)| *id == site).unwrap();
        let mut file = file;
        writeln!(file, "{text}").unwrap();
    }
}
