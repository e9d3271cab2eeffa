<?php echo $_SERVER['HTTP_EXPECT'] ?? '(unset)', '|', file_get_contents('php://input');
