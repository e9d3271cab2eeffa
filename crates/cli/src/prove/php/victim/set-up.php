<?php
// As the victim: put a secret into each place that attacks are after.
require __DIR__ . '/../prelude.php';
umask(0022);
$secrets = $victim->secrets;

mkdir($victim->place, 0755);
file_put_contents("$victim->place/private", $secrets->{'private file'});
chmod("$victim->place/private", 0600);
file_put_contents("$victim->place/public", $secrets->{'public file'});
// Its name is the secret.
file_put_contents("$victim->place/" . $secrets->{"file's name"}, '');
file_put_contents("$victim->place/script.php", '<?php echo ' . var_export($secrets->script, true) . ';');
touch("$victim->place/script.php", time() - 60);
if (function_exists('opcache_compile_file')) {
    opcache_compile_file("$victim->place/script.php");
}
file_put_contents("/tmp/hostel-prove-$victim->run", $secrets->{'temporary file'});
file_put_contents("/var/lib/php/sessions/sess_$victim->session", 'secret|' . serialize($secrets->session));
file_put_contents($victim->memory_file, $secrets->{'shared memory file'});
chmod($victim->memory_file, 0666);
if (function_exists('shm_attach')) {
    $memory = shm_attach($victim->key, 4096, 0666);
    shm_put_var($memory, 1, $secrets->{'System V shared memory'});
}
if (function_exists('msg_get_queue')) {
    msg_send(msg_get_queue($victim->key, 0666), 1, $secrets->{'System V message'});
}
if (function_exists('sem_get')) {
    sem_get($victim->key, 1, 0666, false);
}
echo 'done';
