<?php
header('X-Seen: ' . $_SERVER['REQUEST_METHOD']);
echo $_SERVER['REQUEST_METHOD'], ' ', file_get_contents('php://input'), ' ', json_encode($_POST);
