//! What came of an attack.

use std::fmt;
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
    /// The kernel ended the process that tried.
    Killed(i32),
    /// It could not be tried.
    Impossible(String),
}

impl Outcome {
    /// The exit status: 0 where the attack succeeded, 1 where it was stopped, 2 where it was not tried.
    pub(crate) fn status(&self) -> ExitCode {
        match self {
            Self::Got(_) | Self::Passed(_) => ExitCode::SUCCESS,
            Self::Refused(_) | Self::Killed(_) => ExitCode::from(1),
            Self::Impossible(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = |errno: &Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        match self {
            Self::Got(what) => write!(f, "got: {}", what.escape_default()),
            Self::Passed(with) => write!(f, "passed: {}", errno(with)),
            Self::Refused(with) => write!(f, "refused: {}", errno(with)),
            Self::Killed(signal) => write!(f, "killed: signal {signal}"),
            Self::Impossible(why) => write!(f, "impossible: {}", why.escape_default()),
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
    fn an_answer_is_one_line() {
        let outcome = Outcome::Got("two\nlines".to_owned());
        assert_eq!(outcome.to_string(), "got: two\\nlines");
    }

    #[test]
    fn only_the_named_errnos_pass() {
        let answer = |errno| Err::<(), _>(errno).passed_with(&[Errno::INVAL], "x");
        assert_eq!(answer(Errno::INVAL), Err(Outcome::Passed(Errno::INVAL)));
        assert_eq!(answer(Errno::PERM), Err(Outcome::Refused(Errno::PERM)));
        assert_eq!(Ok(()).passed_with(&[], "x"), Ok("x".to_owned()));
    }
}
