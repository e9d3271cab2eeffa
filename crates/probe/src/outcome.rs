//! What came of an attack.

use std::io;
use std::process::ExitCode;

use rustix::io::Errno;

/// What an attack answers: what it got, or how else it ended.
pub(crate) type Tried = Result<String, Outcome>;

/// The end of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what it is for.
    Got(String),
    /// The kernel complained of the deliberately wrong arguments: the permission check was passed.
    Passed(Errno),
    /// The kernel forbade it, or what it is aimed at does not exist here.
    Refused(Errno),
    /// It got some of what it wanted, and then the kernel refused more.
    Bounded(String, Errno),
    /// The kernel ended the process that tried.
    Killed(i32),
    /// It could not be tried.
    Impossible(String),
}

impl Outcome {
    /// The line that says so, of the attack that is named: as the suite's PHP scripts say it.
    pub(crate) fn line(&self, attack: &str) -> String {
        let done = |text: &str| format!("try\t{attack}\tdone\t{}", text.escape_default());
        let failed = |text: &str| format!("try\t{attack}\tfailed\t{text}");
        let errno = |errno: &Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        match self {
            Self::Got(what) => done(what),
            Self::Passed(with) => done(&format!("permitted, and then: {}", errno(with))),
            Self::Refused(with) => failed(&errno(with).to_string()),
            Self::Bounded(had, with) => failed(&format!("had {had}, then {}", errno(with))),
            Self::Killed(signal) => failed(&format!("ended by signal {signal}")),
            Self::Impossible(why) => format!("not tried\t{}", why.escape_default()),
        }
    }

    /// The exit status: 0 where the attack succeeded, 1 where it was stopped, 2 where it was not tried.
    pub(crate) fn status(&self) -> ExitCode {
        match self {
            Self::Got(_) | Self::Passed(_) => ExitCode::SUCCESS,
            Self::Refused(_) | Self::Bounded(..) | Self::Killed(_) => ExitCode::from(1),
            Self::Impossible(_) => ExitCode::from(2),
        }
    }
}

impl From<Errno> for Outcome {
    fn from(errno: Errno) -> Self {
        Self::Refused(errno)
    }
}

impl From<io::Error> for Outcome {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => Self::Refused(errno),
            None => Self::Impossible(error.to_string()),
        }
    }
}

/// The kernel's answer to a call whose arguments are wrong on purpose.
pub(crate) trait WrongOnPurpose {
    /// With one of these numbers the call was permitted and failed later; what succeeds has got what is named.
    fn passed_with(self, errnos: &[Errno], got: &str) -> Tried;
}

impl<T> WrongOnPurpose for Result<T, Errno> {
    fn passed_with(self, errnos: &[Errno], got: &str) -> Tried {
        match self {
            Ok(_) => Ok(got.to_owned()),
            Err(errno) if errnos.contains(&errno) => Err(Outcome::Passed(errno)),
            Err(errno) => Err(Outcome::Refused(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_line_of_four_fields() {
        let line = Outcome::Got("two\nlines\tand a tab".to_owned()).line("read /x");
        assert_eq!(line, "try\tread /x\tdone\ttwo\\nlines\\tand a tab");
    }

    #[test]
    fn only_the_named_errnos_pass() {
        let answer = |errno| Err::<(), _>(errno).passed_with(&[Errno::INVAL], "x");
        assert_eq!(answer(Errno::INVAL), Err(Outcome::Passed(Errno::INVAL)));
        assert_eq!(answer(Errno::PERM), Err(Outcome::Refused(Errno::PERM)));
        assert_eq!(Ok(()).passed_with(&[], "x"), Ok("x".to_owned()));
    }
}
