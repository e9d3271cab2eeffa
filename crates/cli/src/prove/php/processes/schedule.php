<?php
// Leave something to be started later by somebody else.
require_once __DIR__ . '/../prelude.php';
$line = "* * * * * true hostel-prove-$told->marker";
attempt('crontab', fn() => command('echo ' . escapeshellarg($line) . ' | crontab -'));
attempt('at', fn() => command('echo true ' . $told->marker . ' | at now + 1 hour'));
attempt('systemd-run', fn() => command("systemd-run --user --on-active=1h true $told->marker"));
foreach (['/var/spool/cron/crontabs', '/var/spool/cron/atjobs', '/etc/cron.d', '/etc/systemd/system', '/run/systemd/transient'] as $directory) {
    attempt("file in $directory", fn() => file_put_contents("$directory/hostel-prove-$told->marker", "# $told->marker\n"));
}
attempt('autostart', fn() => file_put_contents("$me->home/.config/systemd/user/x.service", $told->marker));
