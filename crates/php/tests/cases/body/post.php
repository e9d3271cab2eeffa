<?php
echo json_encode([$_POST, $_FILES, strlen(file_get_contents('php://input')), $_SERVER['REQUEST_METHOD'], $_SERVER['CONTENT_LENGTH'], $_COOKIE]);
