<?php
// Runs inside a site and reports, as JSON, who it is, what it has and what it can reach. `try` asks it to attempt paths.
$status = [];
foreach (file('/proc/self/status', FILE_IGNORE_NEW_LINES) as $line) {
    [$name, $value] = explode(':', $line, 2);
    $status[$name] = trim($value);
}
$attempt = function (string $path): array {
    return [
        'read' => @file_get_contents($path, false, null, 0, 200),
        'list' => @scandir($path),
        'write' => @file_put_contents(is_dir($path) ? "$path/made-by-probe" : $path, 'made by probe', FILE_APPEND),
        'make' => @mkdir("$path/made-by-probe-directory"),
        'exists' => @file_exists($path),
        'link' => @symlink('/etc/passwd', "$path/made-by-probe-link"),
    ];
};
$processes = [];
foreach (glob('/proc/[0-9]*') as $directory) {
    $processes[basename($directory)] = @fileowner($directory);
}
header('Content-Type: application/json');
echo json_encode([
    'uids' => preg_split('/\s+/', $status['Uid']),
    'gids' => preg_split('/\s+/', $status['Gid']),
    'groups' => $status['Groups'],
    'capabilities' => array_map(fn($name) => $status[$name], ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']),
    'no_new_privs' => $status['NoNewPrivs'],
    'pid' => getmypid(),
    'process_namespaces' => count(preg_split('/\s+/', $status['NSpid'])),
    'processes' => $processes,
    'mounts' => file('/proc/self/mountinfo', FILE_IGNORE_NEW_LINES),
    'host_name' => gethostname(),
    // PHP puts the variables of the request there too.
    'environment' => array_diff_key(getenv(), $_SERVER),
    'passwd' => array_map(fn($line) => strtok($line, ':'), file('/etc/passwd')),
    'top' => array_values(array_diff(scandir('/'), ['.', '..'])),
    'attempts' => array_combine($_POST['try'] ?? [], array_map($attempt, $_POST['try'] ?? [])),
    'signals' => array_map(fn($pid) => posix_kill((int) $pid, 0), $_POST['signal'] ?? []),
], JSON_INVALID_UTF8_SUBSTITUTE);
