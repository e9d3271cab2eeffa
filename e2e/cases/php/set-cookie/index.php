<?php
setcookie('plain', 'a b;c=d');
setrawcookie('raw', 'a%20b');
setcookie('timed', 'x', 2000000000, '/path', 'parity.test', true, true);
setcookie('options', 'y', ['expires' => 2000000000, 'path' => '/', 'samesite' => 'Lax', 'httponly' => true]);
setcookie('gone', '');
header('Set-Cookie: by=header; Path=/', false);
echo 'ok';
