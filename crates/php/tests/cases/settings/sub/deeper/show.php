<?php
$name = $_GET['name'];
$before = ini_get($name);
$set = isset($_GET['to']) ? ini_set($name, $_GET['to']) : null;
echo json_encode([$before, $set, ini_get($name)]);
