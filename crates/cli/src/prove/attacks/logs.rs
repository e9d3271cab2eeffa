//! Attacks on who reads the logs: lines that the server did not write, in the site's own logs.
//!
//! What is written is in two parts, the second of which would be a message of its own if an end of a line came through.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::prove::attack::{Against, Attack, Control, Group, Judge, Step, Stopper, php};
use crate::prove::scene::{Ran, Scene};

pub(super) const ATTACKS: &[Attack] = &[Attack {
    id: "files-log-lines",
    group: Group::Files,
    // A visit shows first that the other site is served too.
    against: Against::Victim,
    title: "forge lines in the logs, by line ends, escapes and markers in what is logged",
    stoppers: &[Stopper::Rule("the front writes the logs, and escapes")],
    needs: &[],
    steps: &[
        Step::Victim(php!("routing/put")),
        Step::Attacker(php!("routing/put-own")),
        Step::Attacker(php!("logs/put")),
        Step::Visit(&[
            "GET /{directory}/forge.php HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
            "GET /{directory}/first-{marker}%0aforged-{marker} HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
            "GET /{directory}/plain.txt?first-{marker}%0d%0aforged-{marker} HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\nUser-Agent: first-{marker}\" \\n\\x0aforged-{marker}\r\nReferer: first-{marker}\u{85}\u{2028}forged-{marker}\r\n\r\n",
            "GET /{directory}/plain.txt HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\nUser-Agent: first-{marker}\rforged-{marker}\r\n\r\n",
            "first-{marker}\x0bforged-{marker} / HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
        ]),
        Step::Attacker(php!("routing/remove")),
        Step::Victim(php!("routing/remove")),
    ],
    judge: Judge::Look(has_line_of_its_own),
    control: Control::Permitted(
        "the site logs the second part by itself, as it may",
        &[
            Step::Victim(php!("routing/put")),
            Step::Attacker(php!("routing/put-own")),
            Step::Attacker(php!("logs/put")),
            Step::Visit(&[
                "GET /{directory}/own-line.php HTTP/1.1\r\nHost: {me.domain}\r\nConnection: close\r\n\r\n",
            ]),
            Step::Attacker(php!("routing/remove")),
            Step::Victim(php!("routing/remove")),
        ],
    ),
}];

fn has_line_of_its_own(scene: &Scene<'_>, ran: &Ran) -> Option<String> {
    if ran.unvisited.is_some() {
        return None;
    }
    let (first, forged) = (
        format!("first-{}", scene.marker),
        format!("forged-{}", scene.marker),
    );
    let logs = scene.ground.server.logs.join(&scene.site.name);
    let read = |name: &str| {
        let bytes = end_of(&logs.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let until = Instant::now() + WRITTEN_WITHIN;
    while !read("error.log").contains(&first) {
        if Instant::now() >= until {
            return Some("nothing of what was logged came to the error log".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = read("error.log") + &read("access.log");
    // Every character that some reader takes for the end of a line. A further line of one message begins with two spaces.
    let ends = ['\n', '\r', '\x0b', '\x0c', '\u{85}', '\u{2028}', '\u{2029}'];
    let alone = text
        .split(ends)
        .find(|line| line.contains(&forged) && !line.contains(&first) && !line.starts_with("  "));
    alone.map(|line| format!("a line of its own: {}", line.escape_debug()))
}

/// The last bytes of a log, which a site can make as large as its bound: what was written a moment ago is among them.
fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Of each log; the front limits how much a site writes in a second.
const BYTES_MAX: u64 = 4 << 20;
/// The front writes at once; it may be busy.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_large_log_only_the_end_is_read() {
        let path = std::env::temp_dir().join(format!("hostel-log-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        file.set_len(1 << 30).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"last", (1 << 30) - 4).unwrap();
        let bytes = end_of(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes.len() as u64, BYTES_MAX);
        assert!(bytes.ends_with(b"last"));
    }
}
