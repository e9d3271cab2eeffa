<?php
// keeps: error
function work() {
    return [posix_kill(999999999, 0), posix_strerror(posix_get_last_error()), posix_getuid() > 0, posix_getpwuid(0)['name'], posix_uname()['sysname'], posix_isatty(0)];
}
function left() { return ['error' => posix_get_last_error() !== 0]; }
