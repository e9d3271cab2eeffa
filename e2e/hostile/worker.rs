//! A zygote whose workers are threads, and which answer as the script's name says.
//!
//! Every answer that is not the right one carries the word STOLEN and the number of the request that it was made for, so that a
//! test can tell whose bytes it sees.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use hostel_sys::fdpass;
use hostel_sys::ring::WorkerEnd;
use hostel_wire::codec::Writer;
use hostel_wire::front_worker::{End, FrameHead, ReplyHead, RequestHead, from_worker, to_worker};
use hostel_wire::keeper_zygote::{Death, FromZygote, ToZygote, WorkerId};
use hostel_wire::limits;
use rustix::fs::FallocateFlags;

/// Speak as a zygote until the keeper is gone.
pub(crate) fn run(keeper: OwnedFd) -> io::Result<()> {
    let keeper = Arc::new(keeper);
    let workers = Workers::default();
    let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
    loop {
        let received = fdpass::receive(&*keeper, &mut buffer)?;
        if received.bytes == 0 {
            return Ok(());
        }
        let message = ToZygote::decode(&buffer[..received.bytes]).map_err(io::Error::other)?;
        match message {
            ToZygote::Settings(_) => say(&keeper, FromZygote::Ready)?,
            ToZygote::Kill(worker) => {
                if let Some(socket) = lock(&workers).remove(&worker) {
                    rustix::net::shutdown(&socket, rustix::net::Shutdown::Both)?;
                    say(&keeper, FromZygote::Died(worker, Death::Signalled(9)))?;
                }
            }
            ToZygote::Fork(worker) => {
                let socket = received.descriptors.into_iter().next();
                let socket = socket.ok_or(io::ErrorKind::InvalidData)?;
                lock(&workers).insert(worker, socket.try_clone()?);
                let (keeper, workers) = (Arc::clone(&keeper), Arc::clone(&workers));
                say(&keeper, FromZygote::Forked(worker, 1000 + worker.0))?;
                thread::spawn(move || {
                    let Ok((front, shared)) = adopt(socket) else {
                        return;
                    };
                    let mut worker = Worker {
                        id: worker,
                        front,
                        shared,
                        keeper,
                        all: workers,
                    };
                    // The front may be gone, or have ended the worker: it is over in any case.
                    let _ = worker.serve();
                    let _ = worker.die(Death::Exited(0));
                });
            }
        }
    }
}

/// The workers that are said to live, each with its socket. Who takes one out says that it died, so that it dies once.
type Workers = Arc<Mutex<HashMap<WorkerId, OwnedFd>>>;

fn lock(workers: &Workers) -> MutexGuard<'_, HashMap<WorkerId, OwnedFd>> {
    workers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say(keeper: &OwnedFd, message: FromZygote) -> io::Result<()> {
    fdpass::send(keeper, &message.encode(), &[])
}

/// What it shares with the front, in its own hands.
struct Shared {
    memory: File,
    bell: File,
    socket: File,
}

/// As an honest worker does, keeping what it needs to be none.
fn adopt(socket: OwnedFd) -> io::Result<(WorkerEnd, Shared)> {
    let received = fdpass::receive(&socket, &mut [0; 1])?;
    let [memory, bell] = <[OwnedFd; 2]>::try_from(received.descriptors)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let shared = Shared {
        memory: File::from(memory.try_clone()?),
        bell: File::from(bell.try_clone()?),
        socket: File::from(socket.try_clone()?),
    };
    Ok((WorkerEnd::of(memory, bell, socket)?, shared))
}

struct Worker {
    id: WorkerId,
    front: WorkerEnd,
    shared: Shared,
    keeper: Arc<OwnedFd>,
    all: Workers,
}

/// A request, as far as it matters here.
struct Request {
    number: u32,
    /// The script's name without slash and extension.
    case: String,
    /// What the visitor sent as `?n=`.
    visitor: String,
}

impl Worker {
    fn serve(&mut self) -> io::Result<()> {
        while let Some(request) = self.receive()? {
            self.answer(&request)?;
        }
        Ok(())
    }

    fn die(&self, death: Death) -> io::Result<()> {
        match lock(&self.all).remove(&self.id) {
            Some(_) => say(&self.keeper, FromZygote::Died(self.id, death)),
            None => Ok(()),
        }
    }

    fn frame(&mut self) -> io::Result<Option<(FrameHead, Vec<u8>)>> {
        let mut head = [0; limits::FRAME_HEAD_BYTES];
        if self.front.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        self.front.read_exact(&mut head[1..])?;
        let head = FrameHead::decode(&head).map_err(io::Error::other)?;
        let head = head.ok_or(io::ErrorKind::InvalidData)?;
        let mut payload = vec![0; head.length];
        self.front.read_exact(&mut payload)?;
        Ok(Some((head, payload)))
    }

    fn receive(&mut self) -> io::Result<Option<Request>> {
        loop {
            let Some((frame, payload)) = self.frame()? else {
                return Ok(None);
            };
            if frame.kind != to_worker::REQUEST {
                continue;
            }
            let head = RequestHead::decode(&payload).map_err(io::Error::other)?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let script = text(head.script);
            let case = script.trim_matches('/').trim_end_matches(".php");
            return Ok(Some(Request {
                number: frame.request,
                case: case.to_owned(),
                visitor: text(head.query).trim_start_matches("n=").to_owned(),
            }));
        }
    }

    fn answer(&mut self, request: &Request) -> io::Result<()> {
        let number = request.number;
        let right = right(request);
        let stolen = format!("STOLEN-{}", request.visitor);
        let headed = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
            [
                head(number, 200, &lines),
                body(number, &stolen),
                end(number),
            ]
            .concat()
        };
        let status = |status| {
            [
                head(number, status, &[]),
                body(number, &stolen),
                end(number),
            ]
            .concat()
        };
        let bytes = match request.case.as_str() {
            "twice" => {
                let again = [head(number, 200, &[]), body(number, &stolen), end(number)].concat();
                [right, again].concat()
            }
            "twice-for-the-next" => {
                let next = number + 1;
                let forged = [head(next, 200, &[]), body(next, &stolen), end(next)].concat();
                [right, forged].concat()
            }
            "late" => {
                self.front.write_all(&right)?;
                thread::sleep(Duration::from_millis(50));
                [body(number, &stolen), end(number)].concat()
            }
            "idle-garbage" => {
                self.front.write_all(&right)?;
                thread::sleep(Duration::from_millis(50));
                stolen.into_bytes()
            }
            "wrong-number" => {
                let wrong = number + 1;
                [head(wrong, 200, &[]), body(wrong, &stolen), end(wrong)].concat()
            }
            "other-number-midway" => [
                head(number, 200, &[]),
                body(number + 1, &stolen),
                end(number),
            ]
            .concat(),
            "too-long" => [
                &u32::MAX.to_le_bytes()[..],
                &number.to_le_bytes(),
                &[1],
                &[b'x'; 100],
            ]
            .concat(),
            "head-ends-early" => {
                let whole = head_payload(200, &[b"X-A: b"]);
                frame(number, from_worker::HEAD, &whole[..whole.len() - 3])
            }
            "head-too-many" => {
                let lines = vec![&b"X-A: b"[..]; limits::REPLY_HEADERS_MAX + 1];
                [head(number, 200, &lines), end(number)].concat()
            }
            "end-malformed" => {
                let frames = [head(number, 200, &[]), body(number, &stolen)].concat();
                [frames, frame(number, from_worker::END, &[9, 9])].concat()
            }
            "unknown-kind" => frame(number, 99, stolen.as_bytes()),
            "body-first" => [body(number, &stolen), head(number, 200, &[]), end(number)].concat(),
            "end-first" => [end(number), head(number, 200, &[]), body(number, &stolen)].concat(),
            "two-heads" => [head(number, 200, &[]), right].concat(),
            "header-cr" => headed(&["X-A: b\rSet-Cookie: stolen=1"]),
            "header-lf" => headed(&["X-A: b\nSet-Cookie: stolen=1"]),
            "header-crlf" => {
                headed(&["X-A: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSTOLEN"])
            }
            "header-nul" => headed(&["X-A: b\0c"]),
            "header-without-colon" => headed(&["X-A b"]),
            "header-without-name" => headed(&[": b"]),
            "header-with-space" => headed(&["X A: b"]),
            "status-0" => status(0),
            "status-100" => status(100),
            "status-101" => status(101),
            "status-65535" => status(65_535),
            "length-too-small" => self.with_line(request, "Content-Length: 1"),
            "length-too-large" => self.with_line(request, "Content-Length: 4711"),
            "length-twice" => self.with_line(request, "Content-Length: 1, 2"),
            "chunked" => self.with_line(request, "Transfer-Encoding: chunked"),
            "upgrade" => self.with_line(request, "Connection: upgrade"),
            "a-byte-at-a-time" => {
                for byte in right {
                    self.front.write_all(&[byte])?;
                    thread::sleep(Duration::from_millis(1));
                }
                Vec::new()
            }
            "never" => Vec::new(),
            "closes" => return self.close(&[]),
            "closes-midway" => {
                return self.close(&[head(number, 200, &[]), body(number, &stolen)].concat());
            }
            "closes-within-a-frame" => {
                let frames = [head(number, 200, &[]), body(number, &stolen)].concat();
                return self.close(&frames[..frames.len() - 3]);
            }
            // As a process that the worker forked would: it has the socket still, and the worker is dead.
            "dies-but-writes" => {
                self.die(Death::Signalled(11))?;
                thread::sleep(Duration::from_millis(100));
                [head(number, 200, &[]), body(number, &stolen), end(number)].concat()
            }
            "after-finish" => {
                let finish = frame(number, from_worker::FINISH, &[]);
                let finished =
                    [head(number, 200, &[]), body(number, &text(request)), finish].concat();
                [finished, body(number, &stolen), end(number)].concat()
            }
            "log" => {
                let forged = frame(
                    number,
                    from_worker::LOG,
                    b"a line\nforged by a site\r\nforged too",
                );
                [forged, right].concat()
            }
            "flood-of-nothing" => return self.flood(&frame(number, from_worker::BODY, &[]), &[]),
            "flood-of-nothing-in-a-body" => {
                return self.flood(
                    &frame(number, from_worker::BODY, &[]),
                    &head(number, 200, &[]),
                );
            }
            "flood-of-logs" => return self.flood(&frame(number, from_worker::LOG, b"again"), &[]),
            "endless" => {
                let part = frame(number, from_worker::BODY, &[b'e'; 32 * 1024]);
                return self.flood(&part, &head(number, 200, &[]));
            }
            // Positions by hostel_sys::ring: requests at byte 0, answers written at 128, read at 192.
            "answers-beyond" => return self.position(128, u32::MAX / 2),
            "answers-backwards" => return self.position(128, u32::MAX),
            "answers-unwritten" => return self.position(128, 100_000),
            "requests-unread" => return self.position(0, u32::MAX),
            "requests-ahead" => return self.position(0, 1 << 20),
            "scribbles" => {
                for round in 0..5000_u32 {
                    let noise = [round.wrapping_mul(2_654_435_761).to_le_bytes(); 1200].concat();
                    self.shared.memory.write_all_at(&noise, 0)?;
                    self.ring()?;
                }
                return Ok(());
            }
            "holes" => {
                let (punch, whole) = (FallocateFlags::PUNCH_HOLE, FallocateFlags::KEEP_SIZE);
                let length = self.shared.memory.metadata()?.len();
                self.front.write_all(&right)?;
                for _ in 0..1000 {
                    rustix::fs::fallocate(&self.shared.memory, punch | whole, 0, length)?;
                    self.ring()?;
                }
                return Ok(());
            }
            "shrinks-the-memory" => match self.shared.memory.set_len(0) {
                Ok(()) => std::process::exit(4),
                Err(_) => right,
            },
            "rings-for-nothing" => {
                for _ in 0..20_000 {
                    self.ring()?;
                }
                right
            }
            "rings-when-idle" => {
                self.front.write_all(&right)?;
                for _ in 0..1_000_000 {
                    self.ring()?;
                }
                return Ok(());
            }
            "byte-on-the-socket" => {
                self.shared.socket.write_all(b"x")?;
                right
            }
            "zygote-nonsense" => {
                fdpass::send(&*self.keeper, &[99, 99], &[])?;
                Vec::new()
            }
            "zygote-lies" => {
                for worker in 0..1000 {
                    say(
                        &self.keeper,
                        FromZygote::Died(WorkerId(worker), Death::Exited(0)),
                    )?;
                }
                Vec::new()
            }
            "zygote-ends" => std::process::exit(3),
            _ => right,
        };
        self.front.write_all(&bytes)
    }

    fn ring(&self) -> io::Result<()> {
        match (&self.shared.bell).write_all(&1_u64.to_le_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            rung => rung,
        }
    }

    /// Lie about a position.
    fn position(&self, offset: u64, value: u32) -> io::Result<()> {
        let memory = &self.shared.memory;
        memory.write_all_at(&value.to_le_bytes(), offset)?;
        self.ring()
    }

    fn with_line(&self, request: &Request, line: &str) -> Vec<u8> {
        let number = request.number;
        let head = head(number, 200, &[b"Content-Type: text/plain", line.as_bytes()]);
        [head, body(number, &text(request)), end(number)].concat()
    }

    fn close(&mut self, last: &[u8]) -> io::Result<()> {
        self.front.write_all(last)?;
        Ok(rustix::net::shutdown(
            &self.front,
            rustix::net::Shutdown::Both,
        )?)
    }

    /// The same frame without end, as many to a write as a socket takes.
    fn flood(&mut self, frame: &[u8], before: &[u8]) -> io::Result<()> {
        self.front.write_all(before)?;
        let many = frame.repeat((64 * 1024 / frame.len()).max(1));
        loop {
            self.front.write_all(&many)?;
        }
    }
}

fn text(request: &Request) -> String {
    format!("answer {}", request.visitor)
}

fn right(request: &Request) -> Vec<u8> {
    let number = request.number;
    let head = head(number, 200, &[b"Content-Type: text/plain"]);
    [head, body(number, &text(request)), end(number)].concat()
}

fn frame(request: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead {
        length: payload.len(),
        request,
        kind,
    };
    [&head.encode()[..], payload].concat()
}

fn head_payload(status: u16, lines: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::new();
    let lines = lines.to_vec();
    ReplyHead { status, lines }.encode(&mut writer);
    writer.finish()
}

fn head(request: u32, status: u16, lines: &[&[u8]]) -> Vec<u8> {
    frame(request, from_worker::HEAD, &head_payload(status, lines))
}

fn body(request: u32, text: &str) -> Vec<u8> {
    frame(request, from_worker::BODY, text.as_bytes())
}

fn end(request: u32) -> Vec<u8> {
    let end = End {
        last: false,
        memory_kib: 1,
        watch: None,
    };
    frame(request, from_worker::END, &end.encode())
}
