<?php
header('X-One: 1');
header('X-One: 2', false);
setcookie('a', '1');
setcookie('b', '2');
header_remove('X-Powered-By');
http_response_code(404);
echo json_encode([headers_sent(), http_response_code(), headers_list()]);
