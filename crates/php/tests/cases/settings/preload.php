<?php
// What a preloaded script may find: no request, no body, nobody who takes an answer.
function preloaded() { return 'preloaded'; }
echo 'to nobody';
flush();
getallheaders();
fastcgi_finish_request();
file_get_contents('php://input');
