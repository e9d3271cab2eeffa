<?php
$input = fopen('php://input', 'rb');
$hash = hash_init('md5');
$count = 0;
while (!feof($input)) {
    $chunk = fread($input, 7777);
    $count += strlen($chunk);
    hash_update($hash, $chunk);
}
echo $count, ' ', hash_final($hash);
