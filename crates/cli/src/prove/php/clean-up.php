<?php
// As a site that attacked or was attacked: remove what the suite has left in its places. Memory and queues went with the sandbox.
require __DIR__ . '/prelude.php';

function remove(string $path): void
{
    if (is_dir($path) && !is_link($path)) {
        foreach (array_diff(scandir($path) ?: [], ['.', '..']) as $name) {
            remove("$path/$name");
        }
        rmdir($path);
    } else {
        unlink($path);
    }
}

// What the running site's PHP has compiled has its script's path, beneath two directories of its own.
$compiled = [];
foreach (glob('/var/lib/php/opcache/*/*', GLOB_ONLYDIR) ?: [] as $directory) {
    array_push($compiled, $directory . $me->home, $directory . $me->root);
}
$left = [];
foreach ([$me->home, $me->root, '/tmp', '/var/tmp', '/var/lib/php/sessions', '/var/lib/php/opcache', '/dev/shm', ...$compiled] as $directory) {
    foreach (@scandir($directory) ?: [] as $name) {
        if (str_contains($name, "prove$told->run") || str_contains($name, "prove-$told->run") || str_contains($name, "prove-race-$told->run")) {
            @remove("$directory/$name");
            // What is not its own, it may not be able to remove, and did not leave.
            if ((@lstat("$directory/$name")['uid'] ?? null) === $me->uid) {
                $left[] = "$directory/$name";
            }
        }
    }
}
// The line that an attack adds, and the file if there is nothing else in it.
$settings = "$me->root/.user.ini";
if (is_file($settings) && !is_link($settings)) {
    $before = file_get_contents($settings);
    $after = str_replace("; hostel-prove-$told->run\n", '', $before);
    if ($after !== $before) {
        $after === '' ? unlink($settings) : file_put_contents($settings, $after);
    }
}
// They go with the namespace, but for a test that leaves it out.
$key = hexdec(substr($told->run, 0, 7));
foreach (['shm', 'msg', 'sem'] as $kind) {
    foreach (file("/proc/sysvipc/$kind") ?: [] as $line) {
        if (preg_match("/^\s*$key\s/", $line)) {
            match ($kind) {
                'shm' => shmop_delete(shmop_open($key, 'w', 0, 0)),
                'msg' => msg_remove_queue(msg_get_queue($key)),
                'sem' => sem_remove(sem_get($key)),
            };
        }
    }
}
echo $left ? implode(' ', $left) : 'done';
