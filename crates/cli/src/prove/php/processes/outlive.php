<?php
// A process that wants to stay when its sandbox ends: a session of its own, no parent, nothing open, no signal taken.
require_once __DIR__ . '/../prelude.php';
$line = "sh -c 'trap \"\" HUP TERM INT; sleep 60; : $told->marker'";
attempt('daemon', fn() => command("setsid sh -c " . escapeshellarg("($line < /dev/null > /dev/null 2>&1 &) &") . " < /dev/null > /dev/null & echo started"));
usleep(200000);
