//! Every maximum of the language between the processes, each with its reason.

/// The largest message on a socket between monitor, front, keeper and zygote. One message is one packet; Linux sends up to
/// its default send buffer of about 200 KiB whole.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Descriptors that one message may carry. The most that any message needs is two.
pub const MESSAGE_DESCRIPTORS_MAX: usize = 2;
/// Sites that one server may have.
pub const SITES_MAX: usize = 20_000;
/// Sites in one message about the table.
pub const TABLE_SITES_MAX: usize = 512;
/// Domains of one site. A list of this length, each of the greatest length, fits one message.
pub const DOMAINS_MAX: usize = 200;
/// A domain name in text form (RFC 1035, section 2.3.4).
pub const DOMAIN_BYTES_MAX: usize = 253;
/// A site's name. It is the name of a file and of directories.
pub const SITE_NAME_BYTES_MAX: usize = 64;
/// A user's name, as useradd allows.
pub const USER_NAME_BYTES_MAX: usize = 32;
/// A path that the kernel takes.
pub const PATH_BYTES_MAX: usize = 4096;
/// Names in a list such as index files or script extensions.
pub const LIST_MAX: usize = 16;
/// One of those names.
pub const LIST_NAME_BYTES_MAX: usize = 64;
/// Places that one site may connect to, in each of its lists.
pub const DESTINATIONS_MAX: usize = 256;
/// Entries of `[[cron]]`, and of `[[daemon]]`, of one site: each may be a running sandbox.
pub const JOBS_MAX: usize = 16;
/// Runs of all of them at the same time, on the whole server: the front holds two descriptors for each, of its budget.
pub const JOBS_RUNNING_MAX: usize = 2000;
/// The name of such an entry.
pub const JOB_NAME_BYTES_MAX: usize = 64;
/// Its command.
pub const COMMAND_BYTES_MAX: usize = 8 * 1024;
/// Databases of one site.
pub const DATABASES_MAX: usize = 16;
/// PHP settings of one site.
pub const PHP_VALUES_MAX: usize = 200;
/// The name of a PHP setting.
pub const PHP_NAME_BYTES_MAX: usize = 128;
/// The value of a PHP setting (disable_functions may be long).
pub const PHP_VALUE_BYTES_MAX: usize = 8 * 1024;
/// All PHP settings of a site together, so that they fit one message beside four paths of the greatest length.
pub const PHP_VALUES_BYTES_MAX: usize = 40 * 1024;

/// The head of a request as the front takes it from a client: line and headers together. nginx's default is four buffers
/// of 8 KiB.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of one request. Apache's default is 100.
pub const HEADERS_MAX: usize = 100;
/// The payload of a frame between front and worker. Large enough for a request's head; a body is cut into frames of it.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Bytes before a frame's payload.
pub const FRAME_HEAD_BYTES: usize = 9;
/// The head of a worker's answer: all header lines together.
pub const REPLY_HEAD_BYTES_MAX: usize = 32 * 1024;
/// Header lines of a worker's answer.
pub const REPLY_HEADERS_MAX: usize = 256;
/// The text of one log frame.
pub const LOG_BYTES_MAX: usize = 8 * 1024;

/// A keeper's reason why nothing of its site is served: a path and some words.
pub const REASON_BYTES_MAX: usize = 512;

/// One message of a site's mail. What large providers take.
pub const MAIL_BYTES_MAX: u64 = 25 << 20;
/// Recipients of one message, so that a submission fits one packet; a site that has more sends more messages.
pub const MAIL_RECIPIENTS_MAX: usize = 200;
/// An address (RFC 5321, section 4.5.3.1.3: a path of 256 bytes with its brackets).
pub const MAIL_ADDRESS_BYTES_MAX: usize = 254;
/// A site's usual sender: its user's name, an `@` and a domain.
pub const MAIL_SENDER_BYTES_MAX: usize = USER_NAME_BYTES_MAX + 1 + DOMAIN_BYTES_MAX;
/// A file with a password or with certificates: some hundred bytes, or some chains.
pub const MAIL_SECRET_FILE_BYTES_MAX: usize = 64 * 1024;

/// Workers that one site may have, whatever its configuration says.
pub const WORKERS_MAX: u32 = 256;
/// Questions about paths that one keeper may have open.
pub const LOOKUPS_MAX: usize = 64;
/// The one budget of descriptors for the front: connections, workers, files, logs, spill files.
pub const DESCRIPTORS_MAX: u64 = 20_000;
/// Descriptors of static files kept for one site.
pub const SITE_FILES_MAX: usize = 64;
/// Descriptors of static files kept for all sites.
pub const FILES_MAX: usize = 4096;
