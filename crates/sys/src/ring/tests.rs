//! Both ends in one process: what is written arrives, what was taken back does not, lies are errors, nobody sleeps for ever.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::memory::Word;
use super::*;
use crate::fdpass::{self, stream_pair};

struct Ends {
    front: FrontEnd,
    worker: WorkerEnd,
    bell: OwnedFd,
    socket: OwnedFd,
}

fn ends() -> Ends {
    let (socket, far) = stream_pair(true).unwrap();
    let (front, bell) = FrontEnd::share(&socket).unwrap();
    let worker = WorkerEnd::adopt(far).unwrap().unwrap();
    Ends {
        front,
        worker,
        bell,
        socket,
    }
}

fn has_rung(bell: &OwnedFd) -> bool {
    let mut ready = [PollFd::new(bell, PollFlags::IN)];
    poll(&mut ready, Some(&Timespec::default())).unwrap() == 1
}

/// Bytes that show where they were: no two parts of them are the same.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at ^ (at / 251)) % 251).unwrap())
        .collect()
}

#[test]
fn bytes_arrive_in_order_at_every_offset_and_length() {
    let mut ends = ends();
    let (mut sent, mut buffer) = (0, vec![0; 4096]);
    for length in (0..300).chain([1000, 4095, 4096]).cycle().take(2000) {
        let bytes = pattern(length);
        assert_eq!(ends.front.write(&bytes), Ok(length));
        assert_eq!(ends.worker.read_some(&mut buffer).unwrap(), length);
        assert_eq!(buffer.get(..length), Some(bytes.as_slice()));
        assert_eq!(ends.worker.write_some(&bytes).unwrap(), length);
        assert_eq!(ends.front.read(&mut buffer), Ok(length));
        assert_eq!(buffer.get(..length), Some(bytes.as_slice()));
        sent += length;
    }
    assert!(sent > 2 * ANSWER_BYTES, "around both rings: {sent}");
}

#[test]
fn a_full_ring_takes_what_fits_and_goes_on() {
    let mut ends = ends();
    let bytes = pattern(ANSWER_BYTES + 10);
    assert_eq!(ends.front.write(&bytes), Ok(REQUEST_BYTES));
    assert_eq!(ends.front.write(b"x"), Ok(0));
    assert_eq!(ends.front.expect_room(1), Ok(false));
    assert!(!has_rung(&ends.bell));
    let mut buffer = vec![0; 10];
    assert_eq!(ends.worker.read_some(&mut buffer).unwrap(), 10);
    assert!(!has_rung(&ends.bell), "not worth it");
    assert_eq!(ends.front.room(), Ok(10));
    assert_eq!(ends.front.expect_room(10), Ok(true));
    assert_eq!(ends.front.expect_room(11), Ok(false));
    let mut rest = vec![0; ROOM_BYTES - 10];
    assert_eq!(ends.worker.read_some(&mut rest).unwrap(), ROOM_BYTES - 10);
    assert!(has_rung(&ends.bell));
    assert_eq!(ends.front.expect_room(REQUEST_BYTES), Ok(true));
    assert_eq!(ends.worker.write_some(&bytes).unwrap(), ANSWER_BYTES);
    assert_eq!(ends.worker.write_some(b"x").unwrap(), 0);
    assert_eq!(ends.front.read(&mut buffer), Ok(10));
    assert_eq!(ends.worker.write_some(&bytes).unwrap(), 10);
}

#[test]
fn what_was_taken_back_is_not_read() {
    let mut ends = ends();
    let mut buffer = [0; 16];
    ends.front.write(b"one").unwrap();
    ends.front.write(b"two").unwrap();
    assert_eq!(ends.front.take_back(3), Ok(true));
    ends.front.write(b"three").unwrap();
    assert_eq!(ends.worker.read_some(&mut buffer).unwrap(), 8);
    assert_eq!(&buffer[..8], b"onethree");
    assert_eq!(ends.front.take_back(5), Ok(false));
    ends.front.write(b"four").unwrap();
    assert_eq!(ends.worker.read_some(&mut buffer[..1]).unwrap(), 1);
    assert_eq!(ends.front.take_back(4), Ok(false));
    assert_eq!(ends.front.take_back(3), Ok(true));
    assert_eq!(ends.worker.read_some(&mut buffer).unwrap(), 0);
}

#[test]
fn a_request_is_read_or_taken_back_and_never_both() {
    const ROUNDS: usize = 20_000;
    let Ends {
        mut front,
        mut worker,
        socket,
        ..
    } = ends();
    let reader = thread::spawn(move || {
        let (mut buffer, mut seen) = ([0; 8], Vec::new());
        loop {
            match worker.read_some(&mut buffer).unwrap() {
                0 if worker.wait_for_input().unwrap().is_err() => return seen,
                0 => {}
                count => {
                    assert_eq!(count, 8, "what was written at once is read at once");
                    seen.push(u64::from_ne_bytes(buffer));
                }
            }
        }
    });
    let mut expected = Vec::new();
    for round in 0..ROUNDS as u64 {
        while front.room().unwrap() < 8 {}
        front.write(&round.to_ne_bytes()).unwrap();
        if front.wake() == Wake::BySocket {
            rustix::io::write(&socket, b"!").unwrap();
        }
        if !round.is_multiple_of(3) || !front.take_back(8).unwrap() {
            expected.push(round);
        }
    }
    while front.room().unwrap() < REQUEST_BYTES {}
    drop(socket);
    assert_eq!(reader.join().unwrap(), expected);
}

#[test]
fn the_bell_is_rung_once_for_each_time_it_was_asked_for() {
    let mut ends = ends();
    ends.worker.write_some(b"nobody waits").unwrap();
    assert!(!has_rung(&ends.bell));
    assert_eq!(ends.front.expect_answer(), Ok(true));
    ends.worker.write_some(b"x").unwrap();
    let mut count = [0; 8];
    assert!(has_rung(&ends.bell));
    rustix::io::read(&ends.bell, &mut count).unwrap();
    ends.worker.write_some(b"x").unwrap();
    assert!(!has_rung(&ends.bell));
}

#[test]
fn positions_that_cannot_be_are_told() {
    let lie = |word: Word, value: u32| {
        let ends = ends();
        ends.worker.memory().word(word).store(value, SeqCst);
        ends
    };
    let mut ends = lie(
        Word::AnswersWritten,
        u32::try_from(ANSWER_BYTES + 1).unwrap(),
    );
    assert_eq!(ends.front.read(&mut [0; 8]), Err(BadPosition));
    assert_eq!(ends.front.expect_answer(), Err(BadPosition));
    let mut ends = lie(Word::AnswersWritten, u32::MAX);
    assert_eq!(ends.front.read(&mut [0; 8]), Err(BadPosition));
    // The worker claims to have read what was never written.
    let mut ends = lie(Word::Requests, 1);
    assert_eq!(ends.front.write(b"x"), Err(BadPosition));
    assert_eq!(ends.front.take_back(1), Err(BadPosition));
    // The worker says that the front has written something else.
    let mut ends = self::ends();
    ends.front.write(b"four").unwrap();
    ends.worker.memory().requests().store(7 << 32, SeqCst);
    assert_eq!(ends.front.take_back(4), Err(BadPosition));
}

#[test]
fn a_worker_sleeps_and_is_woken_in_either_way() {
    let Ends {
        mut front,
        mut worker,
        socket,
        ..
    } = ends();
    let reader = thread::spawn(move || {
        let (mut buffer, mut seen) = ([0; 8], 0);
        while seen < 2 {
            match worker.read_some(&mut buffer).unwrap() {
                0 => worker.wait_for_input().unwrap().unwrap(),
                _ => seen += 1,
            }
        }
        worker
    });
    thread::sleep(Duration::from_millis(10));
    front.write(b"1").unwrap();
    assert_eq!(front.wake(), Wake::Done);
    // Long enough that it waits on the socket.
    thread::sleep(Duration::from_millis(300));
    front.write(b"2").unwrap();
    assert_eq!(front.wake(), Wake::BySocket);
    rustix::io::write(&socket, b"!").unwrap();
    reader.join().unwrap();
}

#[test]
fn a_worker_notices_that_the_front_is_gone() {
    let ends = ends();
    let mut worker = ends.worker;
    drop((ends.front, ends.socket));
    let begun = Instant::now();
    while worker.wait_for_input().unwrap().is_ok() {}
    assert!(begun.elapsed() < Duration::from_secs(5));
    worker.write_some(&vec![0; ANSWER_BYTES]).unwrap();
    while worker.wait_for_room().unwrap().is_ok() {}
}

#[test]
fn a_client_that_left_is_seen_for_its_own_request() {
    let ends = ends();
    ends.front.client_left(7);
    assert!(ends.worker.has_client_left(7));
    assert!(!ends.worker.has_client_left(8));
}

#[test]
fn nobody_changes_the_size_of_the_memory_and_nothing_else_is_taken_for_it() {
    let (near, far) = stream_pair(true).unwrap();
    let _front = FrontEnd::share(&near).unwrap();
    let received = fdpass::receive(&far, &mut [0; 1]).unwrap();
    let memory = &received.descriptors[0];
    assert!(rustix::fs::ftruncate(memory, 0).is_err());
    assert!(rustix::fs::ftruncate(memory, 1 << 30).is_err());
    let other = rustix::fs::memfd_create("other", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let bell = &received.descriptors[1];
    for descriptors in [&[other.as_fd(), bell.as_fd()][..], &[memory.as_fd()], &[]] {
        let (near, far) = stream_pair(true).unwrap();
        fdpass::send(&near, b"m", descriptors).unwrap();
        assert!(WorkerEnd::adopt(far).is_err());
    }
    let (near, far) = stream_pair(true).unwrap();
    drop(near);
    assert_eq!(WorkerEnd::adopt(far).unwrap().err(), Some(Closed));
}

#[test]
fn as_streams_they_carry_more_than_fits_at_once() {
    let (near, far) = stream_pair(true).unwrap();
    let mut front = FrontStream::new(near).unwrap();
    let whole = pattern(3 * ANSWER_BYTES);
    let worker = thread::spawn(move || {
        let mut worker = WorkerEnd::adopt(far).unwrap().unwrap();
        let mut bytes = vec![0; 3 * ANSWER_BYTES];
        worker.read_exact(&mut bytes).unwrap();
        worker.write_all(&bytes).unwrap();
    });
    let (mut sent, mut came, mut buffer) = (0, Vec::new(), [0; 4096]);
    let limit = Duration::from_millis(1);
    loop {
        sent += front.write_some(&whole[sent..]).unwrap();
        match front.read_within(&mut buffer, limit).unwrap() {
            Some(0) => break,
            Some(count) => came.extend_from_slice(&buffer[..count]),
            None => {}
        }
    }
    worker.join().unwrap();
    assert!(came == whole);
}
