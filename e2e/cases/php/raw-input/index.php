<?php
$stream = fopen('php://input', 'r');
echo fread($stream, 5), '|', stream_get_contents($stream), '|';
rewind($stream);
echo fread($stream, 3), '|', strlen(file_get_contents('php://input')), '|', md5(file_get_contents('php://input'));
