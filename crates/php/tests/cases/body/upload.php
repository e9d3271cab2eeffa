<?php
$file = $_FILES['file'];
$kept = $file['tmp_name'] . '.kept';
$moved = move_uploaded_file($file['tmp_name'], $kept);
echo json_encode([$file['name'], $file['size'], $file['error'], $moved, dirname($file['tmp_name']), md5_file($kept), $_POST]);
unlink($kept);
