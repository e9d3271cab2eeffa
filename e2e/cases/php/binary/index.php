<?php
header('Content-Type: image/png');
for ($i = 0; $i < 256; $i++) {
    echo chr($i);
}
echo "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
