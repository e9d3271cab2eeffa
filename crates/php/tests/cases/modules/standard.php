<?php
// keeps: connection
function work() {
    setlocale(LC_ALL, 'C.UTF-8');
    putenv('SEEN=1');
    umask(0077);
    chdir('/tmp');
    stream_wrapper_unregister('http');
    stream_context_set_default(['http' => ['user_agent' => 'seen']]);
    register_shutdown_function(fn () => setlocale(LC_CTYPE, 'C.UTF-8'));
    $socket = pfsockopen('udp://127.0.0.1', 9);
    stream_set_blocking($socket, false);
    $pipe = proc_open(['/bin/echo', 'said'], [1 => ['pipe', 'w']], $pipes);
    $said = stream_get_contents($pipes[1]);
    return [$said, proc_close($pipe), password_verify('a', password_hash('a', PASSWORD_BCRYPT, ['cost' => 4])), crypt('a', '$6$salt$'), strftime_of(0),
        gethostbyname('127.0.0.1'), unserialize(serialize([1, 'a'])), ip2long('10.0.0.1'), getmxrr('', $hosts), assert(true)];
}
function strftime_of($time) { return @strftime('%A', $time); }
function left() {
    return ['connection' => !stream_get_meta_data(pfsockopen('udp://127.0.0.1', 9))['blocked'], 'variable' => getenv('SEEN') !== false, 'umask' => umask() !== 0022,
        'directory' => getcwd() === '/tmp', 'wrapper' => !in_array('http', stream_get_wrappers(), true),
        'context' => stream_context_get_options(stream_context_get_default()) !== [], 'locale' => setlocale(LC_MONETARY, 0) !== 'C'];
}
function unique() { return [uniqid('', true), (string) lcg_value(), password_hash('a', PASSWORD_BCRYPT, ['cost' => 4]), str_shuffle('abcdefghijklmnopqrstuvwxyz0123456789')]; }
