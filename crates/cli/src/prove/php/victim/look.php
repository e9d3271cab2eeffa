<?php
// As the victim: everything that attacks could have changed, as one text.
require __DIR__ . '/../prelude.php';

function describe(string $path): void
{
    $found = @lstat($path);
    if ($found === false) {
        echo "$path is not there\n";
        return;
    }
    printf("%s %o %d:%d", $path, $found['mode'], $found['uid'], $found['gid']);
    // A directory of the site's own has as many as the site makes directories in it.
    echo is_dir($path) ? '' : " $found[nlink]";
    echo is_file($path) && !is_link($path) ? ' ' . hash_file('sha256', $path) : '', "\n";
}

clearstatcache();
describe($victim->home);
describe($victim->root);
describe("$victim->root/.user.ini");
foreach (scandir($victim->place) as $name) {
    describe("$victim->place/$name");
}
// Where the site itself may be at work only what is the suite's counts: else its owner, or a visitor of it, would decide what is found.
foreach ([$victim->home, $victim->root, '/tmp', '/var/tmp', '/var/lib/php/sessions', '/var/lib/php/opcache', '/dev/shm'] as $directory) {
    foreach (@scandir($directory) ?: [] as $name) {
        if (str_contains($name, 'prove')) {
            describe("$directory/$name");
        }
    }
}
// System V objects as the kernel lists them: key, number, mode, owner; for queues what is in them. Not the times.
foreach (['shm' => 8, 'msg' => 5, 'sem' => 6] as $kind => $fields) {
    foreach (file("/proc/sysvipc/$kind") ?: [] as $line) {
        $line = preg_split('/\s+/', trim($line));
        if ($line[0] === (string) $victim->key) {
            echo "$kind ", implode(' ', $kind === 'shm' ? array_slice($line, 0, 4) : array_slice($line, 0, $fields)), "\n";
        }
    }
}
if (function_exists('shm_attach')) {
    $memory = shm_attach($victim->key, 4096, 0666);
    echo 'shared memory ', hash('sha256', (string) @shm_get_var($memory, 1)), "\n";
}
if (function_exists('opcache_is_script_cached')) {
    echo 'script is ', opcache_is_script_cached($victim->script) ? 'cached' : 'not cached', "\n";
}
ob_start();
include $victim->script;
echo 'script ', hash('sha256', ob_get_clean()), "\n";
echo 'done';
