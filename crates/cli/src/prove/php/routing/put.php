<?php
// As the victim: what attackers are after, in the document root that visitors of the running server see.
require __DIR__ . '/../prelude.php';
umask(0022);
$directory = "$victim->root/$told->directory";
mkdir($directory);
copy("$victim->place/public", "$directory/secret.txt");
copy("$victim->place/script.php", "$directory/script.php");
touch("$directory/script.php", time() - 60);
echo 'done';
