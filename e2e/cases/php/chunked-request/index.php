<?php echo $_SERVER['CONTENT_LENGTH'] ?? '(unset)', '|', $_SERVER['HTTP_TRANSFER_ENCODING'] ?? '(unset)', '|', file_get_contents('php://input');
