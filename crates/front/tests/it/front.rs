//! A front with one site, and the far ends of its links, to be played by a test: monitor, keeper, workers.
//!
//! A test is a straight line: it has the front do something, says what the other side must see, and what it answers.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use hostel_front::dispatch::Dispatch;
use hostel_front::front::Front;
use hostel_front::handoff::{self, HandoffError, Outcome};
use hostel_front::keeper::{self, Keeper};
use hostel_front::logs::{Level, Logs};
use hostel_front::lookup::{self, Found, SiteUnavailable};
use hostel_front::monitor::Monitor;
use hostel_front::pressure::Pressure;
use hostel_front::sites::{Services, Site, Sites};
use hostel_front::spill::{Body, Spill};
use hostel_sys::fdpass;
use hostel_sys::ring::WorkerEnd;
use hostel_wire::codec::Writer;
use hostel_wire::front_keeper::{FrontToKeeper, KeeperToFront, Resolution};
use hostel_wire::front_monitor::{Down, SiteEntry, ToMonitor};
use hostel_wire::front_worker::{End, FrameHead, ReplyHead, from_worker, to_worker};
use hostel_wire::keeper_zygote::{Death, WorkerId};
use hostel_wire::limits;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};
use tokio::time::{sleep, timeout};

/// A front with this site, behind which there is nothing. Must be called on a `LocalSet`.
pub(crate) fn front(entry: SiteEntry) -> Rc<Front> {
    let (near, _) = fdpass::message_pair(true).expect("sockets");
    make(entry, near)
}

fn make(entry: SiteEntry, monitor: OwnedFd) -> Rc<Front> {
    let logs = Rc::new(Logs::new(Level::Debugging));
    let directory = File::open(std::env::temp_dir()).expect("temporary directory");
    let spill = Rc::new(Spill::new(directory.into()));
    let sites = Sites::new(Services {
        logs: Rc::clone(&logs),
        spill: Rc::clone(&spill),
        monitor: Rc::new(Monitor::new(monitor).expect("socket")),
        files: Rc::default(),
        dispatch: Rc::new(Dispatch::new(Pressure::default())),
        turns: Rc::default(),
        supplies: Rc::default(),
        disk: Rc::default(),
    });
    let front = Rc::new(Front::new(sites, logs, spill));
    front.sites.change(&[], vec![entry]);
    spawn_local(Rc::clone(&front).sweep());
    front
}

/// A site of one worker whose bounds no test meets by accident.
pub(crate) fn patient_entry() -> SiteEntry {
    SiteEntry {
        queue_max: 8,
        queue_ms_max: 10_000,
        request_ms_max: 10_000,
        ..crate::server::entry()
    }
}

/// Run one test, which ends by itself.
pub(crate) fn play<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    LocalSet::new().block_on(&runtime, async {
        timeout(PATIENCE, test).await.expect("the test hangs");
    });
}

/// A socket of whole messages.
struct Messages(UnixStream);

impl Messages {
    fn new(socket: OwnedFd) -> Self {
        Self(UnixStream::from_std(socket.into()).expect("socket"))
    }

    /// The next message; `None` at the end.
    async fn receive(&self) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
        loop {
            self.0.readable().await.expect("socket");
            let receive = || fdpass::receive(&self.0, &mut buffer);
            match self.0.try_io(Interest::READABLE, receive) {
                Ok(received) if received.bytes == 0 => return None,
                Ok(received) => {
                    buffer.truncate(received.bytes);
                    return Some((buffer, received.descriptors));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("receive: {error}"),
            }
        }
    }
}

/// The front, and the monitor's end of its link.
pub(crate) struct Stage {
    pub(crate) front: Rc<Front>,
    pub(crate) site: Rc<Site>,
    monitor: Messages,
    error_log: File,
}

impl Stage {
    pub(crate) fn new(entry: SiteEntry) -> Self {
        let (near, far) = fdpass::message_pair(true).expect("sockets");
        let id = entry.id;
        let front = make(entry, near);
        let site = front.sites.by_id(id).expect("the site");
        let error_log = front.spill.create().expect("file");
        Self {
            front,
            site,
            monitor: Messages::new(far),
            error_log,
        }
    }

    /// What the front asks of the monitor next.
    pub(crate) async fn asked(&self) -> ToMonitor {
        let (bytes, _) = self.monitor.receive().await.expect("the front lives");
        ToMonitor::decode(&bytes).expect("a message")
    }

    /// Play the monitor: start the site's sandbox. The test plays the keeper.
    pub(crate) fn start_keeper(&self) -> Peer {
        let (near, far) = fdpass::message_pair(true).expect("sockets");
        let (errors, stderr) = rustix::pipe::pipe().expect("pipe");
        let log = self.error_log.try_clone().expect("file");
        let access = self.front.spill.create().expect("file");
        self.front.logs.set_site_files(self.site.log(), access, log);
        let keeper = Rc::new(Keeper::new(near, 4711).expect("socket"));
        self.site.up(Rc::clone(&keeper));
        self.site
            .spawn(keeper::run(Rc::clone(&self.site), keeper, errors));
        Peer {
            messages: Messages::new(far),
            stderr,
        }
    }

    /// Play the monitor: wait until the site is to be woken, and start it.
    pub(crate) async fn wake(&self) -> Peer {
        assert_eq!(self.asked().await, ToMonitor::WakeSite(self.site.entry.id));
        let keeper = self.start_keeper();
        keeper.say(KeeperToFront::Ready);
        keeper
    }

    /// Play the monitor: the sandbox is gone.
    pub(crate) fn down(&self, reason: Down, retry: Duration) {
        self.site.down(reason, retry);
    }

    /// Play a client: hand a request over.
    pub(crate) fn request(&self, body: Body) -> JoinHandle<Result<Outcome, HandoffError>> {
        let site = Rc::clone(&self.site);
        spawn_local(async move {
            let _running = site.begin();
            handoff::run(&site, b"payload".to_vec(), body).await
        })
    }

    /// Play a client: ask for a path.
    pub(crate) fn look_up(&self, path: &'static str) -> JoinHandle<Result<Found, SiteUnavailable>> {
        let site = Rc::clone(&self.site);
        spawn_local(async move { lookup::look_up(&site, path.as_bytes()).await })
    }

    /// What stands in the site's error log.
    pub(crate) fn error_log(&self) -> String {
        self.front.logs.flush();
        let mut file = self.error_log.try_clone().expect("file");
        let mut text = String::new();
        file.rewind().expect("file");
        file.read_to_string(&mut text).expect("text");
        text
    }
}

/// The keeper's end of its link, and the site's standard error.
pub(crate) struct Peer {
    messages: Messages,
    pub(crate) stderr: OwnedFd,
}

impl Peer {
    /// What the front asks next, and the descriptor that came with it; `None` when it has closed.
    pub(crate) async fn asked(&self) -> Option<(FrontToKeeper, Option<OwnedFd>)> {
        let (bytes, mut descriptors) = self.messages.receive().await?;
        let message = FrontToKeeper::decode(&bytes).expect("a message");
        assert_eq!(descriptors.len(), message.descriptors());
        Some((message, descriptors.pop()))
    }

    pub(crate) fn say(&self, message: KeeperToFront) {
        self.send(&message.encode(), &[]);
    }

    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[&File]) {
        let descriptors: Vec<_> = descriptors.iter().map(|file| file.as_fd()).collect();
        fdpass::send(&self.messages.0, bytes, &descriptors).expect("send");
    }

    /// The question that must come next: its ticket, the path, and whether the front knows a file.
    pub(crate) async fn question(&self) -> (u32, Vec<u8>, bool) {
        match self.asked().await {
            Some((
                FrontToKeeper::Resolve {
                    ticket,
                    path,
                    known,
                },
                _,
            )) => (ticket, path, known.is_some()),
            other => panic!("not a question: {other:?}"),
        }
    }

    pub(crate) fn resolve(&self, ticket: u32, resolution: Resolution, file: Option<&File>) {
        let files: Vec<_> = file.into_iter().collect();
        self.send(
            &KeeperToFront::Resolved { ticket, resolution }.encode(),
            &files,
        );
    }

    /// A worker must be asked for next: start it.
    pub(crate) async fn start_worker(&self) -> Player {
        let (id, socket) = self.wanted_worker().await;
        self.say(KeeperToFront::WorkerStarted(id, 17));
        Player::new(id, socket).await
    }

    /// A worker must be asked for next.
    pub(crate) async fn wanted_worker(&self) -> (WorkerId, OwnedFd) {
        match self.asked().await {
            Some((FrontToKeeper::StartWorker(id), Some(socket))) => (id, socket),
            other => panic!("no worker is asked for: {other:?}"),
        }
    }

    /// A worker must be killed next; it dies.
    pub(crate) async fn kill(&self) -> WorkerId {
        match self.asked().await {
            Some((FrontToKeeper::KillWorker(id), _)) => {
                self.say(KeeperToFront::WorkerDied(id, Death::Signalled(9)));
                id
            }
            other => panic!("nobody is killed: {other:?}"),
        }
    }

    /// The front must give this keeper up.
    pub(crate) async fn is_given_up(&self) {
        while self.asked().await.is_some() {}
    }
}

/// A worker's end of its channel.
pub(crate) struct Player {
    pub(crate) id: WorkerId,
    pub(crate) end: WorkerEnd,
    number: u32,
}

impl Player {
    /// Waits for the memory that the front shares, which it does in the task of the worker.
    async fn new(id: WorkerId, socket: OwnedFd) -> Self {
        while rustix::io::ioctl_fionread(&socket).expect("socket") == 0 {
            yield_now().await;
        }
        let end = WorkerEnd::adopt(socket).expect("memory").expect("front");
        Self { id, end, number: 0 }
    }

    /// Fill the buffer; `None` when the front closes before.
    async fn read(&mut self, mut buffer: &mut [u8]) -> Option<()> {
        let mut looks = 0;
        while !buffer.is_empty() {
            let count = self.end.read_some(buffer).expect("position");
            buffer = &mut buffer[count..];
            if count > 0 {
                continue;
            }
            self.end.look_at_socket().expect("socket").ok()?;
            looks += 1;
            if looks < QUICK_LOOKS {
                yield_now().await;
            } else {
                sleep(TICK).await;
            }
        }
        Some(())
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<(FrameHead, Vec<u8>)> {
        let mut head = [0; limits::FRAME_HEAD_BYTES];
        self.read(&mut head).await?;
        let head = FrameHead::decode(&head).expect("a frame").expect("whole");
        let mut payload = vec![0; head.length];
        self.read(&mut payload).await?;
        Some((head, payload))
    }

    /// The request that must come next, without a body.
    pub(crate) async fn request(&mut self) -> Vec<u8> {
        let (head, payload) = self.frame().await.expect("a request");
        assert_eq!(head.kind, to_worker::REQUEST);
        assert_ne!(head.request, self.number);
        self.number = head.request;
        payload
    }

    /// The body that must come next, and whether it was complete.
    pub(crate) async fn body(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let (head, payload) = self.frame().await.expect("a body");
            assert_eq!(head.request, self.number);
            match head.kind {
                to_worker::BODY => body.extend(payload),
                to_worker::BODY_END => return (body, payload == [1]),
                kind => panic!("a frame of kind {kind} in a body"),
            }
        }
    }

    /// One frame of the present request.
    pub(crate) fn make(&self, kind: u8, payload: &[u8]) -> Vec<u8> {
        make_frame(self.number, kind, payload)
    }

    /// The frames of a whole small answer to the present request.
    pub(crate) fn answer(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = self.make(from_worker::HEAD, &head(200, &[b"X-Test: yes"]));
        bytes.extend(self.make(from_worker::BODY, body));
        bytes.extend(self.make(from_worker::END, &end(false)));
        bytes
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        assert!(self.try_write(bytes).await, "the front reads");
    }

    /// `false` when the front closes before it has taken all.
    pub(crate) async fn try_write(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let count = self.end.write_some(bytes).expect("position");
            bytes = &bytes[count..];
            if bytes.is_empty() {
                return true;
            }
            if count == 0 {
                if self.end.look_at_socket().expect("socket").is_err() {
                    return false;
                }
                sleep(TICK).await;
            }
        }
    }

    /// Whether the client of the present request has left.
    pub(crate) fn has_client_left(&self) -> bool {
        self.end.has_client_left(self.number)
    }

    /// The front must tell that the client of the present request has left.
    pub(crate) async fn is_left(&self) {
        while !self.has_client_left() {
            sleep(TICK).await;
        }
    }

    /// The front must close.
    pub(crate) async fn is_closed(&mut self) {
        while self.end.look_at_socket().expect("socket").is_ok() {
            sleep(TICK).await;
        }
    }
}

pub(crate) fn make_frame(request: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead {
        length: payload.len(),
        request,
        kind,
    };
    let mut bytes = head.encode().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload of a head.
pub(crate) fn head(status: u16, lines: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::new();
    ReplyHead {
        status,
        lines: lines.to_vec(),
    }
    .encode(&mut writer);
    writer.finish()
}

/// The payload of an end.
pub(crate) fn end(last: bool) -> [u8; 6] {
    End {
        last,
        memory_kib: 2048,
        watch: None,
    }
    .encode()
}

/// What a client gets: status and body; `Err` with what had come when it was cut.
pub(crate) async fn read(
    outcome: Result<Outcome, HandoffError>,
) -> Result<(u16, Vec<u8>), Vec<u8>> {
    let Ok(Outcome::Answer(mut answer)) = outcome else {
        panic!("no answer: {:?}", outcome.err());
    };
    let mut body = Vec::new();
    while let Some(chunk) = answer.body.chunk().await {
        match chunk {
            Ok(bytes) => body.extend(bytes),
            Err(_) => return Err(body),
        }
    }
    Ok((answer.status, body))
}

/// The longest that a test may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a worker that is played looks.
const TICK: Duration = Duration::from_micros(200);
/// How often it looks before it waits between two looks, so that what comes at once is seen at once.
const QUICK_LOOKS: u32 = 100;
