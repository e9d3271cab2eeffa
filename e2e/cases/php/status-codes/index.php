<?php
header($_GET['line'] ?? 'X-Code: ' . $_GET['code'], true, (int) $_GET['code']);
echo "status ", http_response_code(), "\n";
