<?php
// As the attacker, beside what it has put already: scripts that write into the site's error log.
require __DIR__ . '/../prelude.php';
chdir("$me->root/$told->directory");
// Each way once, with every end of a line that a reader of logs may know, and markers of others' protocols.
file_put_contents('forge.php', '<?php
$first = "first-' . $told->marker . '";
$forged = "forged-' . $told->marker . '";
foreach (["\n", "\r\n", "\r", "\0", "\x0b", "\x0c", "\u{85}", "\u{2028}", "\n\0fscf", "\x1b[2K\x1b[1A", "\\n", "0x0A"] as $end) {
    error_log("$first$end$forged");
    trigger_error("$first$end$forged", E_USER_WARNING);
    syslog(LOG_ERR, "$first$end$forged");
}
echo "logged";');
// A line that begins with it is not forbidden: it says by itself that the site wrote it.
file_put_contents('own-line.php', '<?php error_log("forged-' . $told->marker . '"); error_log("first-' . $told->marker . '"); echo "logged";');
touch('forge.php', time() - 60);
touch('own-line.php', time() - 60);
echo 'done';
